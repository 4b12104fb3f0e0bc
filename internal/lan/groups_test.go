package lan_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

func TestSolicitedNodeGroups(t *testing.T) {
	porter, client := neighbors(t)
	i, peer := porter.open("porter0"), client.open("client0")
	reports := make(chan struct{}, 1000)
	run(t, peer, func(p *lan.Packet) {
		// A report of version 2 (RFC 3810 section 5.2) names the group.
		if p.Kind == lan.IP && p.Src == porterMAC && strings.Contains(string(p.Frame), string(group6.AsSlice())) {
			reports <- struct{}{}
		}
	})
	if err := peer.SetInterest(lan.Interest{MACs: []ether.MAC{porterMAC}}); err != nil {
		t.Fatal(err)
	}
	joined := func() int {
		count := 0
		porter.do(func() error {
			b, err := os.ReadFile("/proc/thread-self/net/igmp6")
			count = strings.Count(string(b), "ff0200000000000000000001ff1b2c3d")
			return err
		})
		return count
	}
	sibling := netip.MustParseAddr("fe80::a1b:2c3d") // shares the group of sleepy6
	porter.do(func() error {
		return errors.Join(i.JoinSolicitedNode(sleepy6), i.JoinSolicitedNode(sibling), i.JoinSolicitedNode(sleepy4))
	})
	if joined() != 1 {
		t.Fatal("the group is not joined")
	}
	receive(t, "the kernel's report that it listens", reports)
	if err := i.LeaveSolicitedNode(sleepy6); err != nil {
		t.Fatal(err)
	}
	if joined() != 1 {
		t.Error("the group was left, though another address needs it")
	}
	if err := errors.Join(i.LeaveSolicitedNode(sibling), i.LeaveSolicitedNode(sleepy4)); err != nil {
		t.Fatal(err)
	}
	if joined() != 0 {
		t.Error("the group is still joined")
	}
	if err := i.LeaveSolicitedNode(sleepy6); err == nil || !strings.Contains(err.Error(), "not joined") {
		t.Errorf("error %v for a group that was not joined", err)
	}
}

// joinedGroups returns the groups that the kernel is in on an interface, and how
// many want each.
func (n *namespace) joinedGroups(name string) (joined []string) {
	n.tb.Helper()
	n.do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/igmp6")
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 3 && f[1] == name {
				joined = append(joined, f[2]+" "+f[3])
			}
		}
		return err
	})
	slices.Sort(joined)
	return joined
}

// TestNoGroupIsLeft: whatever happens to a link, nothing is left of its groups once
// none is needed, and what is still needed is joined on its successor.
func TestNoGroupIsLeft(t *testing.T) {
	porter, _ := neighbors(t)
	before := porter.joinedGroups("porter0")
	want := func(when string, more int) {
		t.Helper()
		if got := porter.joinedGroups("porter0"); len(got) != len(before)+more || more == 0 && !slices.Equal(got, before) {
			t.Errorf("%s: in the groups %v, want %d more than %v", when, got, more, before)
		}
	}
	join := func(i *lan.Interface, ips ...netip.Addr) {
		t.Helper()
		porter.do(func() (failed error) {
			for _, ip := range ips {
				failed = errors.Join(failed, i.JoinSolicitedNode(ip))
			}
			return failed
		})
	}
	leave := func(i *lan.Interface, ips ...netip.Addr) {
		t.Helper()
		for _, ip := range ips {
			if err := i.LeaveSolicitedNode(ip); err != nil {
				t.Errorf("leave the group of %v: %v", ip, err)
			}
		}
	}
	adopt := func(i, old *lan.Interface) {
		t.Helper()
		porter.do(func() error { return i.AdoptGroups(old) })
	}
	other, sibling := ip("2001:db8::77"), ip("fe80::a1b:2c3d") // which shares the group of sleepy6

	first := porter.open("porter0")
	join(first, sleepy6, sibling, other)
	want("joined", 2)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	want("the link is closed", 0)
	late := ip("2001:db8::88")
	leave(first, other, sibling) // released while there is no link
	join(first, late)            // and claimed
	want("the link is still closed", 0)
	if err := first.LeaveSolicitedNode(other); !errors.Is(err, net.ErrClosed) {
		t.Errorf("left once more: %v", err)
	}

	second := porter.open("porter0")
	join(second, sibling) // before it has taken over the others
	adopt(second, first)
	want("a new link", 2)
	leave(second, sleepy6, late)
	want("one of two has left", 1)
	leave(second, sibling)
	want("both have left", 0)
	join(second, other)
	for what, err := range map[string]error{"left": first.LeaveSolicitedNode(sleepy6), "joined": first.JoinSolicitedNode(sleepy6)} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("a group was %s on a link whose groups another has taken over: %v", what, err)
		}
	}

	// A link that is closed before it takes over hands on what it was to have.
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	third := porter.open("porter0")
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	porter.do(func() error {
		if err := third.AdoptGroups(second); !errors.Is(err, net.ErrClosed) {
			t.Errorf("adopted by a link that is closed: %v", err)
		}
		return nil
	})
	fourth := porter.open("porter0")
	adopt(fourth, third)
	want("after two links", 1)
	leave(fourth, other)
	want("none is needed", 0)
}

// One socket has room for only so many groups.
func TestManySolicitedNodeGroups(t *testing.T) {
	porter, _ := neighbors(t)
	i := porter.open("porter0")
	const count = 4000
	address := func(n int) netip.Addr {
		return netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 13: 1, 14: byte(n >> 8), 15: byte(n)})
	}
	porter.do(func() error {
		for n := range count {
			if err := i.JoinSolicitedNode(address(n)); err != nil {
				return err
			}
		}
		return nil
	})
	if i.GroupSockets() < 2 {
		t.Errorf("%d groups fit on one socket: this test needs more of them", count)
	}
	for n := range count {
		if err := i.LeaveSolicitedNode(address(n)); err != nil {
			t.Fatal(err)
		}
	}
}
