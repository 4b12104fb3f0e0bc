package lan_test

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

func TestSolicitedNodeGroups(t *testing.T) {
	porter, client := neighbors(t)
	i, peer := porter.open("porter0"), client.open("client0")
	reports := make(chan struct{}, 1000)
	run(t, peer, func(p *lan.Packet) {
		// A report of version 2 (RFC 3810, section 5.2) names the group.
		if p.Kind == lan.IP && p.Src == porterMAC && strings.Contains(string(p.Frame), string(group6.AsSlice())) {
			reports <- struct{}{}
		}
	})
	if err := peer.SetInterest(lan.Interest{MACs: []machine.MAC{porterMAC}}); err != nil {
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
