package e2e

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/waittest"
)

// TestBadStart: each mistake ends the daemon at once with exit code 1 and a line with the key
// or the remedy.
func TestBadStart(t *testing.T) {
	t.Parallel()
	ctx, lan := newLAN(t)
	host := lan.Porter()
	taken, err := host.Listen(ctx, "tcp", host.Addr4().String()+":9999")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	for _, c := range []struct {
		name string
		host *lab.Host
		args []string
		bare bool // without capabilities
		want []string
	}{
		{"loopback", host, []string{"--interfaces", "lo"}, false, []string{"lo", "Ethernet"}},
		{"registration port in use", host, []string{"--registration.listen", "10.77.0.2:9999"}, false, []string{"registration.listen", "10.77.0.2:9999", "address already in use"}},
		{"http port in use", host, []string{"--http.listen", "10.77.0.2:9999"}, false, []string{"http.listen", "10.77.0.2:9999", "address already in use"}},
		{"no place for the journal", host, []string{"--state_dir", "/proc/nightporter"}, false, []string{"state_dir", "/proc/nightporter", "expected a directory"}},
		{"no capability", host, nil, true, []string{"CAP_NET_RAW", "setcap"}},
		{"bad value", host, []string{"--wake.attempts", "0"}, false, []string{"wake.attempts", "0", "--wake.attempts"}},
		{"no such file", host, []string{"--config", missing}, false, []string{missing}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			cmd := c.host.Command(ctx, os.Args[0], append([]string{"serve", "--state_dir", t.TempDir()}, c.args...)...)
			cmd.Env = append(os.Environ(), programEnv...)
			cmd.Stdout, cmd.Stderr = &out, &out
			if c.bare {
				// In a user namespace below the owner of the network the program has no
				// capability there, for each user that runs the test.
				cmd.SysProcAttr = &syscall.SysProcAttr{
					Cloneflags:  syscall.CLONE_NEWUSER,
					UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getuid(), Size: 1}},
					GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getgid(), Size: 1}},
				}
			}
			if err := c.host.Start(cmd); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("said %q, without %q", out.String(), w)
				}
			}
			if strings.Contains(out.String(), "Usage:") {
				t.Errorf("printed its usage for a mistake that is none of usage:\n%s", out.String())
			}
		})
	}
}

// TestStartBeforeItsAddress: a daemon waits for the address of its interface.
func TestStartBeforeItsAddress(t *testing.T) {
	t.Parallel()
	ctx, network := newLAN(t)
	address := netip.MustParsePrefix("10.77.0.66/24")
	late, err := network.AddHost("late", address)
	if err == nil {
		err = errors.Join(late.DelAddr(address), late.Sysctl("net/ipv6/conf/eth0/disable_ipv6", "1"))
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := labdaemon.Start(ctx, network, t.TempDir(), labdaemon.Options{
		Exe: os.Args[0], Env: programEnv, Host: late, Config: "interfaces: [eth0]\n", Await: "/-/healthy",
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{TB: t, ctx: ctx, lan: network, daemon: d}
	h.killAtEnd(d)
	h.waitInterfaceEvent(0, isOut, "eth0", "no IP address")
	if status, _, err := d.GetInside(h.within(5*time.Second), "/-/ready"); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("without an address: status %d, error %v", status, err)
	}
	h.must(late.AddAddr(ctx, address))
	h.waitInterfaceEvent(0, isBack, "eth0")
	waittest.Until(t, "the daemon is ready", func() bool {
		status, _, err := d.GetInside(h.within(5*time.Second), "/-/ready")
		return err == nil && status == http.StatusOK
	})
}
