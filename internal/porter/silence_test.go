package porter

import (
	"net/netip"
	"testing"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// A machine that speaks for one of its addresses is up. Not one more answer may
// go out for any of them, even while the loop is busy elsewhere: a machine that
// tests an address would take the answer for a duplicate (design, fact 9).
func TestSpeakingSilencesAtOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		p    *lan.Packet
	}{
		{"it tests its address", arpProbe(nasMAC, nas4)},
		{"it tests its IPv6 address", dad(nasMAC, nas6)},
		{"it announces its address", arpRequest(nasMAC, machine.Broadcast, nas4, nas4)},
		{"it answers our probe", arpReply(nasMAC, porterMAC, nas4, porter4)},
		{"it advertises its address", advertise(nasMAC, porterMAC, nasMAC, nas6)},
		{"it sends a packet", segment(nasMAC, nas6, client6, 443, flagACK)},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHall(t, 8, nas(), tv())
			if !h.answers(nas4) || !h.answers(nas6) {
				t.Fatal("the machine is not answered for before it speaks")
			}
			h.handle(c.p)
			h.mute(t)
			if !h.answers(tv4) {
				t.Error("the other machine is not answered for any more")
			}
		})
	}
}

// mute fails the test unless nas, and nobody who asks for it, gets an answer.
func (h *hall) mute(t *testing.T) {
	t.Helper()
	n := len(h.sent)
	for _, p := range []*lan.Packet{
		arpRequest(clientMAC, machine.Broadcast, client4, nas4), arpRequest(clientMAC, porterMAC, client4, nas4),
		arpProbe(thiefMAC, nas4), arpProbe(nasMAC, nas4),
		solicit(clientMAC, client6, nas6), dad(thiefMAC, nas6), dad(nasMAC, nas6),
	} {
		h.handle(p)
	}
	if got := len(h.sent) - n; got != 0 {
		t.Errorf("%d answers for a machine that speaks", got)
	}
}

// ... and even when the loop is so far behind that the sighting is lost.
func TestLostSightingSilencesToo(t *testing.T) {
	h := newHall(t, 1, nas(), tv())
	h.handle(syn(tv4, 80)) // fills the queue
	h.handle(dad(nasMAC, nas6))
	if h.lost.Load() != 1 {
		t.Fatalf("%d sightings lost, want 1", h.lost.Load())
	}
	h.mute(t)
}

// The machine itself is never answered, whether or not it has been heard.
func TestMachineIsNeverAnswered(t *testing.T) {
	h := newHall(t, 8, nas())
	for _, p := range []*lan.Packet{
		arpProbe(nasMAC, nas4), dad(nasMAC, nas6),
		arpRequest(nasMAC, machine.Broadcast, nobody4, nas4), solicit(nasMAC, nobody6, nas6),
	} {
		h.handle(p)
	}
	if len(h.sent) != 0 {
		t.Errorf("%d answers to the machine about itself", len(h.sent))
	}
}

// A frame that speaks for none of its addresses proves nothing: boot firmware
// asks for DHCP with the same MAC. The claim stands.
func TestFirmwareDoesNotSilence(t *testing.T) {
	h := newHall(t, 8, nas())
	h.handle(&lan.Packet{Kind: lan.Other, Src: nasMAC})
	h.handle(arpRequest(nasMAC, machine.Broadcast, nobody4, client4))
	if !h.answers(nas4) || !h.answers(nas6) {
		t.Error("the machine is not answered for any more")
	}
}

// The loop decides again: it takes back all addresses, or one beside the others.
func TestAnswerForAgain(t *testing.T) {
	h := newHall(t, 8, nas())
	w := h.view.Load().machines[nasMAC]
	h.handle(arpProbe(nasMAC, nas4))
	w.answerFor([]netip.Addr{nas4, nas6})
	if !h.answers(nas4) || !h.answers(nas6) {
		t.Error("not answered for after the machine was claimed again")
	}
	w.silence([]netip.Addr{nas4})
	if h.answers(nas4) || !h.answers(nas6) {
		t.Error("the wrong address was silenced")
	}
	w.answerFor([]netip.Addr{nas4})
	if !h.answers(nas4) || !h.answers(nas6) {
		t.Error("one address was taken back, and the other is not answered for")
	}
}
