package fastpath

import (
	"fmt"
	"net/netip"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
)

// up has nas be up: it takes all packets.
func up(t *testing.T) (*fixture, *Target, *int) {
	f := newFixture(t, 16, nas())
	target := f.View().Address(nas4).Target()
	target.Silence(target.Addrs())
	target.SetGuarded(target.Addrs(), false)
	target.hold.Open(nil)
	forwarded := new(int)
	f.forward = func(_ *lan.Packet, to ether.MAC) error {
		if to != nasMAC {
			t.Errorf("forwarded to %v", to)
		}
		*forwarded++
		return nil
	}
	return f, target, forwarded
}

// TestStraggler: what still comes for a machine that is up is sent on, and its
// client told where the machine is. It is no knock.
func TestStraggler(t *testing.T) {
	f, target, forwarded := up(t)
	for _, p := range []*lan.Packet{syn(nas4, 22), syn(nas6, 22), syn(nas4, 81), datagram(nas4, game.Number), echo(nas4)} {
		before := *forwarded
		f.Handle(p)
		if *forwarded != before+1 {
			t.Errorf("%v to %v is not forwarded", p.Kind, p.To)
		}
	}
	if s := <-f.queue; s.Kind != SawRequest || len(f.queue) != 0 {
		t.Errorf("reported %v, and %d more", s.Kind, len(f.queue))
	}
	want := map[Requester]netip.Addr{{nas4, clientMAC}: client4, {nas6, clientMAC}: client6}
	if got := target.TakeRequesters(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("to correct: %v, want %v", got, want)
	}
	// Its own frames, ours, and what is not for our MAC are not.
	own := syn(nas4, 22)
	own.Src = nasMAC
	other := syn(nas4, 22)
	other.Dst = ether.Broadcast
	*forwarded = 0
	f.Handle(own)
	f.Handle(other)
	target.Concede(nas4, true)
	f.Handle(syn(nas4, 22))
	if *forwarded != 0 {
		t.Errorf("%d forwarded that are not for us", *forwarded)
	}
}

// TestKernelForwards: then the reader does not, unless the kernel is kept silent.
func TestKernelForwards(t *testing.T) {
	f, target, forwarded := up(t)
	f.SetKernelForwards(true, false)
	f.Handle(syn(nas4, 22))
	if *forwarded != 0 {
		t.Error("sent twice")
	}
	f.Handle(syn(nas6, 22))
	target.SetGuarded([]netip.Addr{nas4}, true)
	f.Handle(syn(nas4, 22))
	if *forwarded != 2 {
		t.Errorf("%d forwarded, want 2", *forwarded)
	}
}

// TestQuestionIsPassedOn to a machine that is up, if it came to us alone.
func TestQuestionIsPassedOn(t *testing.T) {
	f, target, _ := up(t)
	arp, err := lan.NeighborProbe(clientMAC, lantest.PorterMAC, client4, nas4)
	ns, err6 := lan.NeighborProbe(clientMAC, lantest.PorterMAC, client6, nas6)
	for _, p := range []*lan.Packet{parsed(t, arp, err), parsed(t, ns, err6)} {
		f.sent = nil
		f.Handle(p)
		if len(f.sent) != 1 {
			t.Fatalf("%v: %d frames sent", p.Kind, len(f.sent))
		}
		got := parsed(t, f.sent[0], nil)
		if got.Kind != p.Kind || got.Src != lantest.PorterMAC || got.Dst != nasMAC || got.SenderMAC != clientMAC || requestedAddress(got) != requestedAddress(p) {
			t.Errorf("passed on %+v", got)
		}
	}
	f.sent = nil
	f.Handle(lantest.ARPRequest(clientMAC, ether.Broadcast, client4, nas4)) // it heard that itself
	target.hold.HoldAll()
	arp, err = lan.NeighborProbe(clientMAC, lantest.PorterMAC, client4, nas4)
	f.Handle(parsed(t, arp, err)) // it may be off, and its card wake for that
	if len(f.sent) != 0 {
		t.Errorf("%d frames sent", len(f.sent))
	}
}

// TestArrivingAnswersAll clients that send requests, and no host that tests an address: its machine
// defends that.
func TestArrivingAnswersAll(t *testing.T) {
	f, target, _ := up(t)
	target.SetGuarded(target.Addrs(), true)
	target.hold.HoldUnready()
	for _, p := range []*lan.Packet{lantest.ARPRequest(otherMAC, ether.Broadcast, client4, nas4), lantest.Solicit(otherMAC, client6, nas6)} {
		f.sent = nil
		f.Handle(p)
		if len(f.sent) != 1 {
			t.Errorf("%v: %d answers", p.Kind, len(f.sent))
		}
	}
	if got := target.TakeRequesters(); len(got) != 2 {
		t.Errorf("to correct again: %v", got)
	}
	f.sent = nil
	f.Handle(lantest.ARPProbe(otherMAC, nas4))
	f.Handle(lantest.DAD(otherMAC, nas6))
	target.SetGuarded(target.Addrs(), false)
	f.Handle(lantest.ARPRequest(otherMAC, ether.Broadcast, client4, nas4))
	if len(f.sent) != 0 {
		t.Errorf("%d answers", len(f.sent))
	}
}

// TestHosts are learnt from what they say by ARP and neighbor discovery, as many as
// there is room for.
func TestHosts(t *testing.T) {
	f := newFixture(t, 16, nas())
	f.Handle(lantest.ARPRequest(clientMAC, ether.Broadcast, client4, free4))
	f.Handle(lantest.Solicit(clientMAC, client6, nas6))
	f.Handle(lantest.ARPProbe(otherMAC, free4))
	f.Handle(lantest.DAD(otherMAC, free6))
	f.Handle(lantest.ARPRequest(nasMAC, ether.Broadcast, nas4, free4))           // it is watched
	f.Handle(lantest.ARPRequest(intruderMAC, ether.Broadcast, nas4, free4))      // another's address
	f.Handle(lantest.ARPRequest(lantest.PorterMAC, ether.Broadcast, free4, tv4)) // ours
	f.Handle(syn(nas4, 22))
	for _, c := range []struct {
		six  bool
		most int
		want []Host
	}{
		{false, 9, []Host{{otherMAC, free4}, {clientMAC, client4}}},
		{true, 9, []Host{{otherMAC, free6}, {clientMAC, client6}}},
		{true, 1, []Host{{otherMAC, free6}}},
	} {
		if got := f.Hosts(c.six, c.most); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("hosts %v, want %v", got, c.want)
		}
	}
	for i := range 10 * maxHosts {
		mac := ether.MAC{2, 9, 0, 0, byte(i >> 8), byte(i)}
		f.Handle(lantest.ARPRequest(mac, ether.Broadcast, netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), free4))
		f.Handle(lantest.ARPRequest(clientMAC, ether.Broadcast, client4, free4)) // it goes on speaking
	}
	if got := f.Hosts(false, 2*maxHosts); len(got) > maxHosts || got[0] != (Host{clientMAC, client4}) {
		t.Errorf("%d hosts, %v first", len(got), got[0])
	}
}
