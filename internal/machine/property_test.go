package machine_test

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nightporter/internal/machine"
)

// TestPropertiesOfEveryLife: in no order of events is an address claimed while
// its machine is known to be up, does a claim outlive the sleep, is an address
// announced that the machine still tests, or are more magic packets sent than
// allowed.
func TestPropertiesOfEveryLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := machine.Policy{
			ProbeInterval: time.Duration(rapid.IntRange(100, 2000).Draw(t, "interval")) * time.Millisecond,
			ProbeMisses:   rapid.IntRange(1, 4).Draw(t, "misses"),
			ProbeTimeout:  time.Duration(rapid.IntRange(5, 60).Draw(t, "timeout")) * time.Second,
			WakeAttempts:  rapid.IntRange(1, 4).Draw(t, "attempts"),
			WakeInterval:  time.Duration(rapid.IntRange(1, 20).Draw(t, "wakeInterval")) * time.Second,
			Keep:          rapid.Bool().Draw(t, "keep"),
			Holdoff:       time.Duration(rapid.IntRange(0, 10).Draw(t, "holdoff")) * time.Second,
			ReadyTimeout:  time.Duration(rapid.IntRange(1, 60).Draw(t, "ready")) * time.Second,

			OverrideOffload: rapid.Bool().Draw(t, "override"),
		}
		now := time.Unix(1_000_000, 0)
		m := machine.New(spec(), p, now)
		mo := &model{spec: spec(), policy: p, born: now, lastHeard: now, lastProof: now, testing: map[netip.Addr]bool{}, telling: map[netip.Addr]time.Time{}, conceded: map[netip.Addr]bool{},
			asked: map[netip.Addr]int{}, askedAt: map[netip.Addr]time.Time{}}
		one := spec()
		one.Monitor = one.Monitor[:1]

		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if mo.gone {
				return
			}
			var e machine.Event
			switch rapid.IntRange(0, 14).Draw(t, "event") {
			case 0:
				mo.spec = rapid.SampledFrom([]machine.Spec{spec(), one}).Draw(t, "spec")
				mo.spec.Agentless = mo.entrusted
				e = machine.Registered{Spec: mo.spec}
				mo.lastHeard, mo.lastProof, mo.slept = now, now, false
				clear(mo.testing)
				clear(mo.conceded)
			case 1:
				e = machine.Heard{}
				mo.lastHeard, mo.lastProof = now, now
			case 2:
				ip := rapid.SampledFrom([]netip.Addr{ip4, ip6}).Draw(t, "ip")
				inUse := rapid.Bool().Draw(t, "inUse")
				e = machine.Heard{Addr: ip, InUse: inUse}
				mo.testing[ip] = !inUse
				mo.lastHeard, mo.lastProof = now, now
				mo.up = mo.up || mo.spec.Has(ip)
			case 3:
				e = machine.Knocked{Service: rapid.SampledFrom([]machine.Service{ssh, game}).Draw(t, "service"), Source: client}
			case 4:
				e = machine.WakeAsked{Trigger: machine.ByAPI, By: "test"}
			case 5:
				e = machine.ServicesReady{}
			case 6:
				e = machine.Conflicted{Addr: ip4, By: otherMAC}
				delete(mo.asked, ip4)
			case 11:
				e = machine.Unasked{Addr: rapid.SampledFrom([]netip.Addr{ip4, ip6}).Draw(t, "ip")}
				delete(mo.asked, e.(machine.Unasked).Addr)
			case 7:
				e = machine.Ticked{} // early or late
			case 8:
				ip := rapid.SampledFrom([]netip.Addr{ip4, ip6}).Draw(t, "ip")
				e = machine.Heard{Addr: ip, InUse: true, Answer: true}
				mo.lastHeard = now
				if !m.CardAnswers() {
					mo.testing[ip] = false
					mo.up = mo.up || mo.spec.Has(ip)
				}
			case 9:
				p.OverrideOffload = !p.OverrideOffload
				mo.policy = p
				e = machine.PolicyChanged{Policy: p}
			case 10:
				mo.behindCard(t, &now, m)
				continue
			case 12:
				mo.entrusted = rapid.Bool().Draw(t, "agentless")
				e = machine.Entrusted{Agentless: mo.entrusted}
			default:
				// Time passes; ticks may come late, as on a busy machine.
				end := now.Add(time.Duration(rapid.IntRange(0, 30_000).Draw(t, "pass")) * time.Millisecond)
				late := time.Duration(rapid.IntRange(0, 50).Draw(t, "late")) * time.Millisecond
				for due := m.Next(); !due.IsZero() && !due.After(end); due = m.Next() {
					if at := due.Add(late); at.After(now) {
						now = at
					}
					before, actions := m.State(), m.Handle(now, machine.Ticked{})
					mo.apply(t, now, before, actions)
					if asked(actions) && rapid.IntRange(0, 9).Draw(t, "out") == 0 {
						mo.unprobed(t, now, m)
					}
					mo.check(t, now, m)
				}
				if end.After(now) {
					now = end
				}
				continue
			}
			before := m.State()
			actions := m.Handle(now, e)
			if _, asked := e.(machine.WakeAsked); asked && before == machine.Settling {
				mo.wanted = true
			}
			mo.apply(t, now, before, actions)
			mo.check(t, now, m)
		}
		mo.apply(t, now, machine.Awake, m.Handle(now, machine.Stopped{Wake: rapid.Bool().Draw(t, "wake")}))
		if len(mo.held) != 0 {
			t.Fatalf("still holding %v after the stop", mo.held)
		}
		if len(mo.kept) != 0 {
			t.Fatalf("still keeping %v after the stop", mo.kept)
		}
	})
}
