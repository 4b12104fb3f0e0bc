package porter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/fastpath"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// overridden has machines claimed whose cards answer, and gives them 5 s.
func overridden(c *config.Config) { c.Claim.OverrideOffload, c.Probe.Timeout = true, 5*time.Second }

// cardSays are the answers of nas's network card to our probes.
func cardSays() []*lan.Packet {
	return []*lan.Packet{arpReply(nasMAC, porterMAC, nas4, porter4), advertise(nasMAC, porterMAC, nasMAC, nas6)}
}

// behindItsCard lets time pass while nas's card answers.
func (h *night) behindItsCard(d time.Duration) {
	const often = 500 * time.Millisecond
	for end := time.Now().Add(d); time.Now().Before(end); h.pass(often) {
		for _, p := range cardSays() {
			h.frame(p)
		}
	}
}

// offloaded is a machine that sleeps behind its card.
func (h *night) offloaded() *entry {
	h.Helper()
	r := h.register(nas())
	h.behindItsCard(10 * time.Second)
	h.want(r, machine.Asleep, nas4, nas6)
	h.pass(8 * time.Second) // nothing is announced any more, and nobody reminded
	return r
}

// Reported with the remedy, or claimed with the override: then it stays claimed
// whatever its card says, and is claimed fast the next time.
func TestMachineBehindItsCard(t *testing.T) {
	overnight(t, func(c *config.Config) { overridden(c); c.Claim.OverrideOffload = false }, func(h *night) {
		r := h.register(nas())
		h.behindItsCard(20 * time.Second)
		h.want(r, machine.Awake)
		if line := "only its network card answers"; !strings.Contains(h.log.String(), "WARN msg=\"machine awake\" machine=nas") ||
			!strings.Contains(h.log.String(), line) || !strings.Contains(h.log.String(), "-ArpOffload Disabled") {
			t.Errorf("the log does not say what is wrong:\n%s", &h.log)
		}
		told := h.journal.(*notebook).told()
		if last := told[len(told)-1]; last != "awake, nas, only its network card answers, (awake)" {
			t.Errorf("the last event is %q", last)
		}
	})
	overnight(t, overridden, func(h *night) {
		r := h.offloaded()
		h.behindItsCard(time.Minute)
		h.want(r, machine.Asleep, nas4, nas6)
		h.register(nas())
		h.behindItsCard(3500 * time.Millisecond)
		h.want(r, machine.Asleep, nas4, nas6)

		h.frame(ipPacket(lan.IP, nasMAC, nas4, porter4))
		h.want(r, machine.Settling)
		h.pass(4 * time.Second)
		h.want(r, machine.Asleep, nas4, nas6)
		h.conf.Claim.OverrideOffload = false
		h.tell(r, machine.PolicyChanged{Policy: h.policy()})
		h.frame(cardSays()[0])
		h.want(r, machine.Settling)
	})
}

// The first answer after a claim may come to a reader that does not know the card
// yet. Then it has fallen silent, and the machine is looked at again.
func TestAnswerBeforeTheCardWasKnown(t *testing.T) {
	overnight(t, overridden, func(h *night) {
		r := h.offloaded()
		r.target.SetCardAnswers(false)
		h.frame(cardSays()[0])
		h.want(r, machine.Settling)
		h.behindItsCard(7 * time.Second)
		h.want(r, machine.Asleep, nas4, nas6)
	})
}

// A datagram is not sent to a machine because its card answers for the address.
func TestReadyBehindItsCard(t *testing.T) {
	overnight(t, overridden, func(h *night) {
		r := h.offloaded()
		l := h.lobby()
		h.frame(l.real(clientMAC, lan.UDP, game.Number))
		h.frame(cardSays()[0])
		h.want(r, machine.Waking, nas4, nas6)
		h.frame(arpRequest(nasMAC, machine.Broadcast, nas4, nas4)) // its firmware
		h.want(r, machine.Arriving)
		h.behindItsCard(time.Second)
		if got := l.happened(); slices.Contains(got, "ask 27015/udp") {
			t.Errorf("happened %q", got)
		}
		h.frame(ipPacket(lan.IP, nasMAC, nas4, porter4)) // an echo reply
		h.pass(200 * time.Millisecond)
		if got := l.happened(); !slices.Contains(got, "ask 27015/udp") || !slices.Contains(got, "forward udp from client") {
			t.Errorf("happened %q", got)
		}
		h.want(r, machine.Awake)
	})
}

// Questions go to the machine's own addresses and TCP services, not too many at
// once, and to each of them in turn.
func TestQuestions(t *testing.T) {
	overnight(t, overridden, func(h *night) {
		spec := nas()
		for i := range 4 * questioned {
			spec.Monitor[0].Ports = append(spec.Monitor[0].Ports, machine.Port{Protocol: machine.TCP, Number: uint16(1000 + i)})
		}
		r := h.register(spec)
		asked, pinged := map[machine.Service]int{}, map[netip.Addr]int{}
		h.n.ask = func(_ machine.MAC, s machine.Service) { asked[s]++ }
		h.n.ping = func(_ machine.MAC, ip netip.Addr) error { pinged[ip]++; return nil }
		for range 17 {
			h.do(time.Now(), r, machine.Question{Addrs: []netip.Addr{nas4}})
		}
		for s, n := range asked {
			if n != questioned || s.Protocol != machine.TCP || s.Addr != nas4 {
				t.Errorf("%v was asked %d times in 17 rounds, want %d", s, n, questioned)
			}
		}
		if len(asked) != 17 {
			t.Errorf("%d services were asked, want 17", len(asked))
		}
		if diff := cmp.Diff(map[netip.Addr]int{nas4: 17}, pinged, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("pinged (-want +got):\n%s", diff)
		}
	})
}

// After an outage a machine is asked before its claim is announced anew.
func TestQuestionedAfterAnOutage(t *testing.T) {
	overnight(t, overridden, func(h *night) {
		h.offloaded()
		asked := 0
		h.n.ping = func(machine.MAC, netip.Addr) error { asked++; return nil }
		h.askFirst(h.n)
		if asked != 2 {
			t.Errorf("asked %d times, want once for each address", asked)
		}
	})
}

// A machine that could not be asked has proved nothing.
func TestNothingToAskFrom(t *testing.T) {
	overnight(t, overridden, func(h *night) {
		r := h.register(nas())
		h.n.ping = func(machine.MAC, netip.Addr) error { return errors.New("no address") }
		h.behindItsCard(20 * time.Second)
		h.want(r, machine.Awake)
		if strings.Contains(h.log.String(), string(machine.WhyOnlyCard)) {
			t.Errorf("its card was blamed:\n%s", &h.log)
		}
	})
}

// Who has asked is told once more, alone, as long as we answer for the address.
func TestAskersAreReminded(t *testing.T) {
	overnight(t, overridden, func(h *night) {
		h.offloaded()
		var told []string
		var began time.Time
		h.n.guide = func(g handover.Guest, owner machine.MAC) {
			if owner != h.n.MAC() || g.MAC != passerMAC {
				t.Errorf("%+v is sent to %v", g, owner)
			}
			told = append(told, fmt.Sprint(time.Since(began), g.Addr, g.IP))
		}
		wantTold := func(want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, told); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			told = nil
		}
		began = time.Now()
		h.answers(nas4)
		h.answers(nas6)
		h.pass(10 * time.Second)
		wantTold("50ms 10.77.0.20 10.77.0.10", "50ms fd77::20 fd77::10", "300ms 10.77.0.20 10.77.0.10", "300ms fd77::20 fd77::10",
			"1.1s 10.77.0.20 10.77.0.10", "1.1s fd77::20 fd77::10")

		began = time.Now()
		for range 10 { // it may ask as often as it likes
			h.answers(nas4)
			h.pass(30 * time.Millisecond)
		}
		if len(told) < 4 || len(told) > 6 {
			t.Errorf("told %q while it asked for 0.3 s", told)
		}
		h.pass(10 * time.Second)
		if last := told[len(told)-1]; !strings.HasPrefix(last, "1.3") {
			t.Errorf("told at %q last", last)
		}
		told = nil

		h.answers(nas4)
		h.frame(arpProbe(nasMAC, nas4)) // it is up, and tests its address
		h.pass(2 * time.Second)
		wantTold()
	})
}

// A flood of askers takes no more room than anybody is told in a second.
func TestFloodOfAskers(t *testing.T) {
	var q reminders
	now := time.Now()
	for i := range 3 * fastpath.MaxRequesters {
		q.add(now, fastpath.Requester{Addr: nas4, MAC: machine.MAC{2, 1, 0, 0, byte(i >> 8), byte(i)}}, client4)
	}
	n := 0
	for at := q.next(); !at.IsZero(); at = q.next() {
		q.run(at, func(handover.Guest) { n++ })
	}
	if want := len(remindAt) * fastpath.MaxRequesters; n != want || len(q.told) != 0 {
		t.Errorf("told %d times, want %d; %d are left", n, want, len(q.told))
	}
}
