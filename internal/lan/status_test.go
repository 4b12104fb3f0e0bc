package lan_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/jsimonetti/rtnetlink/v2"

	"nightporter/internal/lan"
	"nightporter/internal/waittest"
)

func (n *namespace) status(name string) (s lan.Status, err error) {
	n.tb.Helper()
	n.do(func() error { s, err = lan.ReadStatus(name); return nil })
	return s, err
}

func (n *namespace) setMTU(index int, mtu uint32) {
	n.tb.Helper()
	n.netlink(func(c *rtnetlink.Conn) error {
		return c.Link.Set(&rtnetlink.LinkMessage{Index: uint32(index), Attributes: &rtnetlink.LinkAttributes{MTU: mtu}})
	})
}

func TestReadStatus(t *testing.T) {
	porter, client := neighbors(t)
	i := porter.open("porter0")
	want := lan.Status{Index: i.Index(), MAC: porterMAC, MTU: 1500, Up: true, Carrier: true}
	waittest.Until(t, "the link works", func() bool { s, err := porter.status("porter0"); return err == nil && s == want })
	client.setUp("client0", false)
	want.Carrier = false
	waittest.Until(t, "no carrier", func() bool { s, err := porter.status("porter0"); return err == nil && s == want })
	porter.setUp("porter0", false)
	want.Up = false
	if s, err := porter.status("porter0"); err != nil || s != want {
		t.Errorf("down: %+v, %v", s, err)
	}
	if _, err := porter.status("eth7"); !errors.Is(err, lan.ErrNoInterface) || !strings.Contains(err.Error(), "eth7") {
		t.Errorf("no interface: %v", err)
	}
}

// What the kernel says when the other end of the cable is pulled out.
func TestWatch(t *testing.T) {
	porter, client := neighbors(t)
	i := porter.open("porter0")
	waittest.Until(t, "the link works", func() bool { s, err := porter.status("porter0"); return err == nil && s.Carrier })
	var w *lan.Watcher
	porter.do(func() (err error) {
		w, err = lan.Watch(slog.New(slog.DiscardHandler))
		return err
	})
	defer w.Close()
	client.setUp("client0", false) // kept by the kernel until Run takes it
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan lan.Changes, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, func(c lan.Changes) { told <- c })
	}()
	for lost := false; !lost; {
		c := receive(t, "that the link has no carrier", told)
		change, _ := c.To(i.Index())
		lost = change.LinkLost && !c.Everything
	}
	cancel()
	receive(t, "the end of Run", ended)
}

// groups returns how often the group of sleepy6 is joined.
func (n *namespace) groups() (count int) {
	n.tb.Helper()
	n.do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/igmp6")
		count = strings.Count(string(b), "ff0200000000000000000001ff1b2c3d")
		return err
	})
	return count
}

// The kernel forgets the groups with IPv6, and does not say so to the sockets.
func TestCheckGroups(t *testing.T) {
	porter, _ := neighbors(t)
	i := porter.open("porter0")
	porter.do(func() error { return i.JoinSolicitedNode(sleepy6) })
	porter.setMTU(i.Index(), 1000)
	if porter.groups() != 0 {
		t.Fatal("a kernel that forgets nothing proves nothing")
	}
	porter.do(func() error {
		if err := i.CheckGroups(); err == nil {
			t.Error("joined a group without IPv6")
		}
		return nil
	})
	porter.setMTU(i.Index(), 1500)
	for range 2 {
		porter.do(i.CheckGroups)
		if porter.groups() != 1 || i.GroupSockets() != 1 {
			t.Fatalf("the group is joined %d times on %d sockets, want once", porter.groups(), i.GroupSockets())
		}
	}
	if err := i.LeaveSolicitedNode(sleepy6); err != nil || porter.groups() != 0 {
		t.Errorf("left: %v, joined %d times", err, porter.groups())
	}
}

// The groups of a closed interface are joined by its successor, with their counts.
func TestAdoptGroups(t *testing.T) {
	porter, _ := neighbors(t)
	old := porter.open("porter0")
	porter.do(func() error { return errors.Join(old.JoinSolicitedNode(sleepy6), old.JoinSolicitedNode(sleepy6)) })
	if err := old.Close(); err != nil || porter.groups() != 0 {
		t.Fatalf("closed: %v, joined %d times", err, porter.groups())
	}
	i := porter.open("porter0")
	porter.do(func() error { return i.AdoptGroups(old) })
	if porter.groups() != 1 {
		t.Error("the group is not joined")
	}
	if err := i.LeaveSolicitedNode(sleepy6); err != nil || porter.groups() != 1 {
		t.Errorf("left once of twice: %v, joined %d times", err, porter.groups())
	}
	if err := i.LeaveSolicitedNode(sleepy6); err != nil || porter.groups() != 0 {
		t.Errorf("left: %v, joined %d times", err, porter.groups())
	}
	if err := old.LeaveSolicitedNode(sleepy6); err == nil {
		t.Error("left a group on an interface that is closed")
	}
}
