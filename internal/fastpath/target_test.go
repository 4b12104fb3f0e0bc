package fastpath

import (
	"net/netip"
	"slices"
	"testing"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// The loop decides again: it takes back all addresses, or one beside the others.
func TestAnswerForAgain(t *testing.T) {
	h := newFixture(t, 8, nas())
	w := h.View().targets[nasMAC]
	h.Handle(arpProbe(nasMAC, nas4))
	w.Answer([]netip.Addr{nas4, nas6})
	if !h.answers(nas4) || !h.answers(nas6) {
		t.Error("not answered for after the machine was claimed again")
	}
	w.Silence([]netip.Addr{nas4})
	if h.answers(nas4) || !h.answers(nas6) {
		t.Error("the wrong address was silenced")
	}
	w.Answer([]netip.Addr{nas4})
	if !h.answers(nas4) || !h.answers(nas6) {
		t.Error("one address was taken back, and the other is not answered for")
	}
}

// Silent finds an address that the reader has stopped answering for.
func TestSilent(t *testing.T) {
	h := newFixture(t, 8, nas())
	w := h.View().targets[nasMAC]
	if ip, silent := w.Silent(w.Addrs()); silent {
		t.Errorf("%v is not answered for before the machine speaks", ip)
	}
	w.Silence([]netip.Addr{nas6})
	if ip, silent := w.Silent(w.Addrs()); !silent || ip != nas6 {
		t.Errorf("found %v, want %v", ip, nas6)
	}
	if ip, silent := w.Silent([]netip.Addr{nas4, free4}); silent {
		t.Errorf("found %v, which is answered for or not its own", ip)
	}
}

// Nothing that comes for an address is looked at while it is another host's.
func TestConcede(t *testing.T) {
	h := newFixture(t, 8, nas())
	w := h.View().targets[nasMAC]
	w.Concede(nas4, true)
	h.Handle(syn(nas4, 22))
	if got := h.seen(); got != nil {
		t.Errorf("reported %q", got)
	}
	w.Concede(nas4, false)
	h.Handle(syn(nas4, 22))
	if got := h.seen(); len(got) != 1 {
		t.Errorf("reported %q once it is the machine's again", got)
	}
}

// Spoke knows what is on its way to the loop, but for the answers of a network card.
func TestSpoke(t *testing.T) {
	for _, c := range []struct {
		name        string
		p           *lan.Packet
		cardAnswers bool
		want        bool
	}{
		{"a test", arpProbe(nasMAC, nas4), false, true},
		{"a packet", segment(nasMAC, nas4, client4, 443, flagACK), false, true},
		{"another frame", &lan.Packet{Kind: lan.Other, Src: nasMAC}, false, true},
		{"an answer", arpReply(nasMAC, porterMAC, nas4, porter4), false, true},
		{"an answer of its card", arpReply(nasMAC, porterMAC, nas4, porter4), true, false},
		{"a knock at it", syn(nas4, 22), false, false},
	} {
		h := newFixture(t, 8, nas())
		w := h.View().targets[nasMAC]
		w.SetCardAnswers(c.cardAnswers)
		h.Handle(c.p)
		if got := w.Spoke(); got != c.want {
			t.Errorf("%s: spoke: %t", c.name, got)
		}
		if h.seen(); w.Spoke() {
			t.Errorf("%s: spoke although the loop has taken it", c.name)
		}
	}
}

func TestServices(t *testing.T) {
	var want []machine.Service
	for _, ip := range []netip.Addr{nas4, nas6} {
		for _, port := range []machine.Port{ssh, game, ping} {
			want = append(want, machine.Service{Addr: ip, Port: port})
		}
	}
	if got := NewTarget(nas(), nil, nil).Services(); !slices.Equal(got, want) {
		t.Errorf("services %v, want %v", got, want)
	}
}
