package fastpath

import (
	"net/netip"
	"slices"
	"testing"

	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// The loop decides again: it takes back all addresses, or one beside the others.
func TestAnswerForAgain(t *testing.T) {
	h := newFixture(t, 8, nas())
	w := h.View().targets[nasMAC]
	h.Handle(lantest.ARPProbe(nasMAC, nas4))
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

// Spoken knows for which address something is on its way to the loop that has
// silenced it.
func TestSpoken(t *testing.T) {
	reply := func(flags byte) func(*fixture) *lan.Packet {
		return func(h *fixture) *lan.Packet {
			p := lantest.Segment(nasMAC, nas4, porter4, lan.ProbePort(0), flags)
			p.FromPort, p.Ack = 22, h.Sequence()+1
			return p
		}
	}
	frame := func(p *lan.Packet) func(*fixture) *lan.Packet { return func(*fixture) *lan.Packet { return p } }
	for _, c := range []struct {
		name        string
		p           func(*fixture) *lan.Packet
		cardAnswers bool
		want        []netip.Addr
	}{
		{"a test", frame(lantest.ARPProbe(nasMAC, nas4)), false, []netip.Addr{nas4}},
		{"a packet", frame(lantest.Segment(nasMAC, nas6, client6, 443, lantest.ACK)), false, []netip.Addr{nas6}},
		{"an answer", frame(lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4)), false, []netip.Addr{nas4}},
		{"an accepted probe", reply(lantest.SYN | lantest.ACK), false, []netip.Addr{nas4}},
		{"a refused probe", reply(lantest.RST | lantest.ACK), false, []netip.Addr{nas4}},
		{"an answer of its card", frame(lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4)), true, nil},
		{"an echo reply", frame(pong(nas4, porter4)), false, nil},
		{"a frame for none of its addresses", frame(&lan.Packet{Kind: lan.IP, Src: nasMAC}), false, nil},
		{"an answer from another address", frame(lantest.ARPReply(nasMAC, lantest.PorterMAC, free4, porter4)), false, nil},
		{"a knock at it", frame(syn(nas4, 22)), false, nil},
	} {
		h := newFixture(t, 8, nas())
		w := h.View().targets[nasMAC]
		w.SetCardAnswers(c.cardAnswers)
		h.Handle(c.p(h))
		if got := w.Silenced(w.Addrs()); !slices.Equal(got, c.want) {
			t.Errorf("%s: spoken for %v, want %v", c.name, got, c.want)
		}
		for _, ip := range w.Addrs() {
			if _, silent := w.Silent([]netip.Addr{ip}); silent != slices.Contains(c.want, ip) {
				t.Errorf("%s: %v is silenced: %t", c.name, ip, silent)
			}
		}
		if got := w.Silenced(nil); got != nil {
			t.Errorf("%s: %v spoken for, of none", c.name, got)
		}
		if h.seen(); w.Silenced(w.Addrs()) != nil {
			t.Errorf("%s: spoken for although the loop has taken it", c.name)
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

// A target that succeeds another goes on answering, but for what the machine has spoken for.
func TestSucceed(t *testing.T) {
	h := newFixture(t, 8, nas())
	old := h.View().targets[nasMAC]
	old.Answer([]netip.Addr{nas4, nas6})
	old.Concede(nas6, true)
	old.SetDoubtful(true)
	next := func(addrs ...netip.Addr) *Target {
		spec := nas()
		spec.Monitor = nil
		for _, ip := range addrs {
			spec.Monitor = append(spec.Monitor, machine.Address{IP: ip})
		}
		w := NewTarget(spec, nil, nil)
		w.Succeed(old)
		return w
	}
	w := next(nas4, nas6, free4)
	if got, silent := w.Silent([]netip.Addr{nas4, nas6}); silent {
		t.Errorf("not answered for %v", got)
	}
	if _, silent := w.Silent([]netip.Addr{free4}); !silent || !w.doubtful.Load() || !w.addrs[1].conceded.Load() || w.addrs[0].conceded.Load() {
		t.Errorf("%+v", w)
	}
	h.Handle(lantest.ARPProbe(nasMAC, nas4))
	if got, silent := next(nas4).Silent([]netip.Addr{nas4}); !silent {
		t.Errorf("answered for %v, which the machine tests", got)
	}
}
