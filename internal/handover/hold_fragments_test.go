package handover_test

import (
	"testing"

	"nightporter/internal/handover"
	"nightporter/internal/lan"
)

// TestFragments: only the first fragment tells the port, and the others are
// matched by the addresses, the protocol and the identification (RFC 791, section
// 3.2).
func TestFragments(t *testing.T) {
	var d door
	h := handover.NewHold(16, plenty())
	h.HoldAll()
	take(t, h, fragment("too early", outside, 17, 7), notKnocking, handover.Ignore)
	first := datagram("first")
	first.Fragment, first.FragmentOf, first.FragmentID = true, 17, 7
	take(t, h, first, game, handover.Held)
	take(t, h, fragment("second", outside, 17, 7), notKnocking, handover.Held)
	strangers := []*lan.Packet{
		fragment("another host's", client, 17, 7), fragment("another protocol's", outside, 1, 7), fragment("another datagram's", outside, 17, 8),
	}
	for _, p := range strangers {
		take(t, h, p, notKnocking, handover.Ignore)
	}
	other := fragment("to another address", outside, 17, 7)
	other.To = nas6
	take(t, h, other, notKnocking, handover.Ignore)
	h.HoldUnready()
	take(t, h, fragment("third", outside, 17, 7), notKnocking, handover.Held)
	for _, p := range strangers {
		take(t, h, p, notKnocking, handover.Forward)
	}
	h.Admit(game, d.send)
	d.want(t, "first second third")
	take(t, h, fragment("fourth", outside, 17, 7), notKnocking, handover.Forward)
}

// TestTwoDatagramsInFragments of one client, for different services.
func TestTwoDatagramsInFragments(t *testing.T) {
	var d door
	h := handover.NewHold(16, plenty())
	h.HoldAll()
	h.HoldUnready()
	first, ping1 := datagram("first"), datagram("ping1")
	first.Fragment, first.FragmentOf, first.FragmentID = true, 17, 7
	ping1.Kind, ping1.Fragment, ping1.FragmentOf, ping1.FragmentID = lan.EchoRequest, true, 1, 8
	take(t, h, first, game, handover.Held)
	take(t, h, ping1, ping, handover.Held)
	take(t, h, fragment("ping2", outside, 1, 8), notKnocking, handover.Held)
	take(t, h, fragment("second", outside, 17, 7), notKnocking, handover.Held)
	h.Admit(ping, d.send)
	d.want(t, "ping1 ping2")
	h.Admit(game, d.send)
	d.want(t, "first second")
}
