package lab

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"nightporter/internal/netns"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A mourner is a namespace that gave others numbers, and is notified by the kernel
// when one of them is gone.
type mourner struct {
	ns   *netns.Namespace
	conn *netlink.Conn
}

const (
	nsidGroup  = 1 << (28 - 1) // RTNLGRP_NSID
	nsidNumber = 1             // NETNSA_NSID
	nsidFD     = 3             // NETNSA_FD
)

func newMourner(t *testing.T) *mourner {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a network namespace: not with -short")
	}
	if err := Available(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no LAN can be built here:", err)
	}
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	m := &mourner{ns: ns}
	err = ns.Do(func() (err error) {
		m.conn, err = netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: nsidGroup})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close() })
	return m
}

// watch gives the namespace behind fd a number.
func (m *mourner) watch(t *testing.T, fd int, number int32) {
	t.Helper()
	ae := netlink.NewAttributeEncoder()
	ae.Int32(nsidNumber, number)
	ae.Uint32(nsidFD, uint32(fd))
	attrs, err := ae.Encode()
	if err != nil {
		t.Fatal(err)
	}
	err = m.ns.Do(func() error {
		c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.RTM_NEWNSID, Flags: netlink.Request | netlink.Acknowledge},
			Data:   append(make([]byte, 4), attrs...), // struct rtgenmsg, padded
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// await returns when the namespaces with these numbers are gone.
func (m *mourner) await(t *testing.T, alive map[int32]string) {
	t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for len(alive) > 0 {
		msgs, err := m.conn.Receive()
		if err != nil {
			t.Fatalf("%v; these namespaces are still there: %v", err, alive)
		}
		for _, msg := range msgs {
			if msg.Header.Type != unix.RTM_DELNSID || len(msg.Data) < 4 {
				continue
			}
			ad, err := netlink.NewAttributeDecoder(msg.Data[4:])
			if err != nil {
				t.Fatal(err)
			}
			for ad.Next() {
				if ad.Type() == nsidNumber {
					delete(alive, ad.Int32())
				}
			}
		}
	}
}

func TestCloseLeavesNoNamespace(t *testing.T) {
	m := newMourner(t)
	l, err := New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nas, err := l.AddMachine(MachineConfig{Name: "nas", Addrs: prefixes("10.77.0.20/24"),
		Services: []ServiceConfig{{Network: "tcp", Port: 22}, {Network: "udp", Port: 53}}})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Client().Dial(context.Background(), "tcp", "10.77.0.20:22")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Porter().Capture(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := l.Porter().Start(exec.Command("sleep", "20")); err != nil {
		t.Fatal(err)
	}
	nas.Events(context.Background())
	alive := make(map[int32]string)
	all := map[string]*netns.Namespace{"switch": l.fabric}
	for name, h := range l.hosts {
		all[name] = h.ns
	}
	for name, ns := range all {
		number := int32(len(alive) + 1)
		alive[number] = name
		if err := ns.WithFD(func(fd int) error { m.watch(t, fd, number); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	m.await(t, alive)
}

// TestKillLeavesNoNamespace kills a process that has a LAN, and with it the
// process it had started there.
func TestKillLeavesNoNamespace(t *testing.T) {
	m := newMourner(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "LAB_TEST_CHILD=lan")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(fmt.Sprintf("/proc/%s/ns/net", strings.TrimSpace(line)))
	if err != nil {
		t.Fatalf("the child says %q: %v", line, err)
	}
	m.watch(t, int(f.Fd()), 1)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the killed process ended in peace")
	}
	m.await(t, map[int32]string{1: "porter"})
}

func TestThreadsEndWithTheirWork(t *testing.T) {
	threads := func() int {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(tasks)
	}
	before := threads()
	for range 200 {
		if err := netns.OnThread(func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// The runtime keeps a few threads of its own.
	enough := func() (bool, error) { return threads() <= before+10, nil }
	if err := poll(ctx, enough, "the threads have ended"); err != nil {
		t.Errorf("%d threads, %d before: %v", threads(), before, err)
	}
}
