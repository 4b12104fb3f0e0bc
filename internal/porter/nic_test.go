package porter

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/fastpath"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// A claim is not announced once its machine has spoken, though the loop does not
// know that so far; the machine's own return is.
func TestAnnounce(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		n, own := x.n, x.n.MAC()
		e := x.register(nas())
		x.forgetSent()
		n.announce(nas4, own) // not answered for: nothing
		n.announce(nas4, nasMAC)
		e.target.Answer([]netip.Addr{nas4, nas6})
		n.announce(nas6, own)
		n.announce(unused4, own)
		type frame struct {
			Kind      lan.Kind
			IP        netip.Addr
			Owner, To ether.MAC
		}
		all := ether.MAC{0x33, 0x33, 0, 0, 0, 1}
		want := []frame{
			{lan.ARPRequest, nas4, nasMAC, ether.Broadcast}, {lan.ARPReply, nas4, nasMAC, ether.Broadcast},
			{lan.NeighborAdvertisement, nas6, own, all},
			{lan.ARPRequest, unused4, own, ether.Broadcast}, {lan.ARPReply, unused4, own, ether.Broadcast},
		}
		var got []frame
		for _, s := range x.sent {
			ip, owner, _ := s.announces()
			got = append(got, frame{s.Kind, ip, owner, s.Dst})
		}
		if diff := cmp.Diff(want, got, byValue); diff != "" {
			t.Errorf("announced (-want +got):\n%s", diff)
		}
	})
}

// One client alone hears of it, in a frame to its own MAC.
func TestPoint(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.n.sendOwner(handover.Client{MachineIP: nas4, MAC: clientMAC, IP: client4}, nasMAC)
		x.n.sendOwner(handover.Client{MachineIP: nas6, MAC: clientMAC, IP: netip.MustParseAddr("2001:db8::1")}, nasMAC) // behind a router
		for n, s := range x.sent {
			if s.Dst == clientMAC && n == 2 && s.Kind == lan.ARPRequest && s.From == nas4 && s.SenderMAC == nasMAC && s.To == client4 {
				continue // the form that takes effect on every client of the link
			}
			if ip, owner, all := s.announces(); !ip.IsValid() || owner != nasMAC || all || s.Dst != clientMAC {
				t.Errorf("sent a %v to %v: %v at %v", s.Kind, s.Dst, ip, owner)
			}
		}
		if len(x.sent) != 4 || x.sent[3].To != netip.IPv6LinkLocalAllNodes() {
			t.Errorf("%d frames", len(x.sent))
		}
	})
}

// Probes of a service come from our address in its network, and a ping does.
func TestProbesComeFromItsNetwork(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.n.probeService(nasMAC, machine.Service{Addr: nas4, Port: ssh})
		x.n.probeService(nasMAC, machine.Service{Addr: nas6, Port: ssh})
		if err := errors.Join(x.n.ping(nasMAC, nas4), x.n.ping(nasMAC, nas6)); err != nil {
			t.Error(err)
		}
		want := []lan.Kind{lan.TCP, lan.TCP, lan.EchoRequest, lan.EchoRequest}
		for i, s := range x.sent {
			from := porter4
			if s.To.Is6() {
				from = porter6
			}
			if s.Kind != want[i] || s.From != from || s.Dst != nasMAC {
				t.Errorf("a %v from %v to %v", s.Kind, s.From, s.Dst)
			}
		}
		x.n.network.Store(&lan.Network{})
		x.forgetSent()
		x.n.probeService(nasMAC, machine.Service{Addr: nas4, Port: ssh})
		if err := x.n.ping(nasMAC, nas4); err == nil || len(x.sent) > 0 {
			t.Errorf("without an address of ours: %v, %d frames", err, len(x.sent))
		}
	})
}

// What was never open does nothing, and says so.
func TestNICThatWasNeverOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNIC("eth7", false, make(chan fastpath.Sighting), func(lan.Kind) {}, discard)
		if n.Index() != 0 || n.MAC() != (ether.MAC{}) || !n.closed() || n.opened() != (lan.Status{}) {
			t.Errorf("index %d, MAC %v", n.Index(), n.MAC())
		}
		if err := errors.Join(n.Close(), n.wait(), n.setInterest(n.reader.View()), n.repair()); err != nil {
			t.Error(err)
		}
		if n.Send(nil) == nil || n.forward(nil, nasMAC) == nil || n.probe(nasMAC, nas4) == nil {
			t.Error("something was sent")
		}
		n.listen(t.Context(), nil)
	})
}
