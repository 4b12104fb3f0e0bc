package e2e

import (
	"bytes"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/vm"
	"nightporter/internal/vm/vmtest"
)

// TestVMPrograms: the programs for 32-bit ARM run, each on an emulated processor. The emulator
// of single programs has no packet sockets with checksum information, so the porter waits for
// its interface.
func TestVMPrograms(t *testing.T) {
	vmtest.NeedProgram(t, vm.ARMHF)
	t.Parallel()
	lan := labtest.New(t)
	for i, version := range []string{"6", "7"} {
		t.Run("armv"+version, func(t *testing.T) {
			host, err := lan.AddHost("armv"+version, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(40 + i)}), 24))
			if err != nil {
				t.Fatal(err)
			}
			p := emulated{t, host, filepath.Join(t.TempDir(), "nightporter")}
			build := exec.CommandContext(t.Context(), "go", "build", "-o", p.exe, "nightporter/cmd/nightporter")
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm", "GOARM="+version)
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			p.wantOutput("linux/arm", "version")
			config := filepath.Join(t.TempDir(), "config.yaml")
			const text = "interfaces: [eth9]\nuser: root\nmachines:\n  - {name: nas, mac: d8:cb:8a:39:be:a1, ip: 10.77.0.20, ports: [22/tcp], agentless: true}\n"
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p.wantOutput("configuration OK", "check", "--config", config)
			p.wantServed("serve", "--config", config, "--state_dir", t.TempDir())
		})
	}
}

// emulated is a program for another processor on a host of the lab.
type emulated struct {
	*testing.T
	host *lab.Host
	exe  string
}

func (p emulated) command(output *bytes.Buffer, args ...string) *exec.Cmd {
	p.Helper()
	cmd := p.host.Command(p.Context(), p.exe, args...)
	cmd.Stdout, cmd.Stderr = output, output
	if err := p.host.Start(cmd); err != nil {
		p.Fatal(err)
	}
	return cmd
}

// wantOutput runs the program to its end.
func (p emulated) wantOutput(want string, args ...string) {
	p.Helper()
	var out bytes.Buffer
	if err := p.command(&out, args...).Wait(); err != nil || !strings.Contains(out.String(), want) {
		p.Errorf("%s: %v; want %q in\n%s", args[0], err, want, out.String())
	}
}

// wantServed runs the porter until it has served its metrics and ended in order.
func (p emulated) wantServed(args ...string) {
	p.Helper()
	var out bytes.Buffer
	cmd := p.command(&out, args...)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: p.host.Dial,
	}}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		answer, err := client.Get("http://127.0.0.1:9717/metrics")
		if err == nil {
			answer.Body.Close()
		}
		if err == nil && answer.StatusCode == http.StatusOK {
			break
		}
		select {
		case err := <-ended:
			p.Fatalf("the porter ended: %v\n%s", err, out.String())
		default:
		}
		if time.Now().After(deadline) {
			p.Fatalf("the porter serves no metrics: %v\n%s", err, out.String())
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.Fatal(err)
	}
	if err := <-ended; err != nil {
		p.Errorf("the porter ended with %v\n%s", err, out.String())
	}
}
