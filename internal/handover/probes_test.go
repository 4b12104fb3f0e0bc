package handover_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// stranger sends the datagrams of these tests, from behind a router.
var stranger = handover.Client{MachineIP: nas4, MAC: routerMAC, IP: outside}

// The oldest datagram asks of those whose refusal is heard; without any of them the
// oldest of all.
func TestWhoAsks(t *testing.T) {
	h := handover.NewHold(8, plenty())
	h.HoldAll()
	heard := func(g handover.Client) bool { return g.MAC == clientMAC }
	if g, ok := h.ProbeClient(game, heard); ok {
		t.Errorf("%v probes, and no client waits", g)
	}
	take(t, h, syn("syn", 5), ssh, handover.Held)
	take(t, h, datagram("far"), game, handover.Held)
	if g, ok := h.ProbeClient(game, heard); !ok || g != stranger {
		t.Errorf("%v asks", g)
	}
	near := datagram("near")
	near.Src, near.From = clientMAC, client
	take(t, h, near, game, handover.Held)
	g, ok := h.ProbeClient(game, heard)
	if !ok || g != (handover.Client{MachineIP: nas4, MAC: clientMAC, IP: client}) {
		t.Errorf("%v asks", g)
	}
	h.HoldUnready()
	var d door
	h.SendProbe(game, g, d.send)
	d.want(t, "near")
	h.Admit(game, d.send)
	d.want(t, "far")
}

// refusalOf is "port unreachable" about a datagram.
func refusalOf(p *lan.Packet) *lan.Packet {
	return &lan.Packet{Kind: lan.PortUnreachable, From: p.To, To: p.From, Target: p.To, FromPort: p.FromPort, ToPort: p.ToPort}
}

func wantReply(t *testing.T, h *handover.Hold, p *lan.Packet, want handover.Reply) {
	t.Helper()
	if kind, _, _ := h.Reply(p); kind != want {
		t.Errorf("reply %d, want %d", kind, want)
	}
}

// The oldest datagram asks. It goes out once more after each refusal, and not again
// once it was taken; those behind it follow in order.
func TestOldestDatagramAsks(t *testing.T) {
	h := handover.NewHold(8, plenty())
	h.HoldAll()
	one, two := datagram("one"), datagram("two")
	two.FromPort++
	take(t, h, one, game, handover.Held)
	take(t, h, syn("syn", 5), ssh, handover.Held)
	take(t, h, two, game, handover.Held)
	h.HoldUnready()
	var d door
	for range 3 {
		h.SendProbe(game, stranger, d.send)
		d.want(t, "one")
		wantReply(t, h, refusalOf(two), handover.NoReply)
		wantReply(t, h, refusalOf(one), handover.Refusal)
		h.ProbeRefused(game)
		wantReply(t, h, refusalOf(one), handover.NoReply)
	}
	h.SendProbe(game, stranger, d.send)
	d.want(t, "one")
	if n := h.Admit(game, d.send); n != 2 {
		t.Errorf("%d let in, want 2", n)
	}
	d.want(t, "two")
	h.Open(d.send)
	d.want(t, "syn")
	wantCounts(t, h, machine.Packets{Held: 3, Replayed: 3})
}

// What was sent is not known to have arrived if the machine goes again, or could not
// be sent.
func TestQuestionWithoutAnOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		between func(*handover.Hold)
		want    string
	}{
		"the service opens":        {func(*handover.Hold) {}, ""},
		"the firmware goes":        {func(h *handover.Hold) { h.HoldAll(); h.HoldUnready() }, "one"},
		"it is refused":            {func(h *handover.Hold) { h.ProbeRefused(game) }, "one"},
		"no client waits any more": {func(h *handover.Hold) { h.EndProbes() }, ""},
		"the next cannot be sent": {func(h *handover.Hold) {
			h.ProbeRefused(game)
			h.SendProbe(game, stranger, func([]byte, lan.Checksum) error { return errors.New("full") })
		}, "one"},
	} {
		t.Run(name, func(t *testing.T) {
			h := handover.NewHold(8, plenty())
			h.HoldAll()
			take(t, h, datagram("one"), game, handover.Held)
			h.HoldUnready()
			var d door
			h.SendProbe(game, stranger, d.send)
			d.want(t, "one")
			c.between(h)
			h.Open(d.send)
			d.want(t, c.want)
		})
	}
}

// A datagram in fragments asks as a whole.
func TestFragmentsAsk(t *testing.T) {
	h := handover.NewHold(8, plenty())
	h.HoldAll()
	first, other := fragment("1", outside, 17, 7), fragment("4", client, 17, 7)
	first.Kind, first.FromPort, first.ToPort = lan.UDP, 5000, 27015
	other.Kind, other.FromPort, other.ToPort = lan.UDP, 5000, 27015
	take(t, h, first, game, handover.Held)
	take(t, h, fragment("2", outside, 17, 7), notKnocking, handover.Held)
	take(t, h, other, game, handover.Held)
	take(t, h, fragment("3", outside, 17, 7), notKnocking, handover.Held)
	h.HoldUnready()
	var d door
	h.SendProbe(game, stranger, d.send)
	d.want(t, "1 2 3")
	h.Admit(game, d.send)
	d.want(t, "4")
}

// Clients that the machine has at our MAC are let go once, when nothing of theirs
// asks; what is for them is known as long as the machine is looked after.
func TestDivertedClients(t *testing.T) {
	h := handover.NewHold(8, plenty())
	h.HoldAll()
	p := datagram("one")
	take(t, h, p, game, handover.Held)
	h.HoldUnready()
	g := stranger
	answer := &lan.Packet{Kind: lan.UDP, From: nas4, To: outside}
	wantReply(t, h, answer, handover.NoReply)
	h.Divert(g, false)
	var d door
	h.SendProbe(game, stranger, d.send)
	if got := h.Undivert(); got != nil {
		t.Errorf("%v are let go while they ask", got)
	}
	wantReply(t, h, answer, handover.ToClient)
	h.Admit(game, d.send)
	if diff := cmp.Diff([]handover.Client{g}, h.Undivert(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("let go (-want +got):\n%s", diff)
	}
	if got := h.Undivert(); got != nil {
		t.Errorf("%v are let go twice", got)
	}
	wantReply(t, h, answer, handover.ToClient)
	h.Divert(g, true)
	wantReply(t, h, answer, handover.Routed)
	h.Divert(g, true, nas4)
	wantReply(t, h, answer, handover.ToClient)
	wantReply(t, h, &lan.Packet{Kind: lan.UDP, From: nas6, To: outside}, handover.Routed)
	h.Open(d.send)
	wantReply(t, h, answer, handover.ToClient)
	h.EndGuard([]netip.Addr{nas6})
	wantReply(t, h, answer, handover.ToClient)
	h.EndGuard([]netip.Addr{nas4})
	wantReply(t, h, answer, handover.Routed)
	h.Close()
	h.EndGuard([]netip.Addr{nas4})
	wantReply(t, h, answer, handover.NoReply)
}

func TestDivertedClientsAreBounded(t *testing.T) {
	h := handover.NewHold(8, plenty())
	h.HoldUnready()
	first := netip.AddrFrom4([4]byte{10, 77, 1, 0})
	for i := range 65 {
		g := handover.Client{MachineIP: nas4, MAC: clientMAC, IP: netip.AddrFrom4([4]byte{10, 77, 1, byte(i)})}
		if got := h.CanDivert(g); got != (i < 64) {
			t.Errorf("room for the client %d: %t", i, got)
		}
		if i < 64 {
			h.Divert(g, false)
		}
		if !h.CanDivert(handover.Client{MachineIP: nas6, MAC: clientMAC, IP: first}) {
			t.Errorf("no room any more for one that is diverted, after %d", i)
		}
	}
}
