package soak

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nightporter/internal/machine"
)

// TestLives: whatever happens, in whatever order, the bystander sees nothing wrong.
func TestLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{now: time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)}
		l := newLAN(q, rapid.Uint64().Draw(t, "seed"), func(format string, args ...any) { t.Fatalf(format, args...) })
		l.agentless = rapid.Bool().Draw(t, "agentless")
		l.unwatched = rapid.Bool().Draw(t, "unwatched")
		l.policy.OverrideOffload = rapid.Bool().Draw(t, "override")
		l.policy.WakeAttempts = rapid.IntRange(1, 6).Draw(t, "attempts")
		l.policy.Holdoff = time.Duration(rapid.IntRange(0, 10).Draw(t, "holdoff")) * time.Second
		l.policy.Keep = rapid.IntRange(0, 9).Draw(t, "keep") > 0
		l.host.card = l.policy.OverrideOffload && rapid.Bool().Draw(t, "card")
		l.begin()
		t.Repeat(steps(l))
		l.stop(rapid.Bool().Draw(t, "wake"))
	})
}

// steps are what can happen next.
func steps(l *lan) map[string]func(*rapid.T) {
	seconds := func(t *rapid.T, least, most int) time.Duration {
		return time.Duration(rapid.IntRange(1000*least, 1000*most).Draw(t, "ms")) * time.Millisecond
	}
	address := func(t *rapid.T) netip.Addr { return rapid.SampledFrom(own).Draw(t, "address") }
	return map[string]func(*rapid.T){
		"moment": func(t *rapid.T) { l.q.run(l.q.now.Add(seconds(t, 0, 3))) },
		"time":   func(t *rapid.T) { l.q.run(l.q.now.Add(seconds(t, 1, 60))) },
		"hours":  func(t *rapid.T) { l.q.run(l.q.now.Add(seconds(t, 60, 12000))) },

		"switched on": func(t *rapid.T) {
			if l.host.power != off {
				t.Skip("it is on")
			}
			l.host.tests = seconds(t, 1, 9)
			l.host.talk = rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Second}).Draw(t, "talk")
			l.host.dhcp = rapid.Bool().Draw(t, "dhcp")
			l.host.elsewhere = rapid.IntRange(0, 5).Draw(t, "elsewhere") == 0
			l.host.start(seconds(t, 0, 20))
		},
		"power cut":      func(*rapid.T) { l.host.cut() },
		"sleeps":         func(t *rapid.T) { l.sleeps(seconds(t, 0, 5)) },
		"registers only": func(*rapid.T) { l.registers(false) },
		"is here":        func(*rapid.T) { l.registers(true) },
		"stubborn":       func(t *rapid.T) { l.host.stubborn = rapid.Bool().Draw(t, "stubborn") },

		"knock":         func(t *rapid.T) { l.knock(rapid.SampledFrom([]machine.Service{ssh, game}).Draw(t, "service")) },
		"wake asked":    func(*rapid.T) { l.handle(machine.WakeRequested{Trigger: machine.ByAPI, By: "test"}) },
		"test asked":    func(*rapid.T) { l.handle(machine.WakeRequested{Trigger: machine.ByAPI, By: "test", Test: true}) },
		"pause":         func(t *rapid.T) { l.pause(seconds(t, 1, 7200)) },
		"pause over":    func(*rapid.T) { l.handle(machine.ResumeRequested{By: "test"}) },
		"ready, unsaid": func(*rapid.T) { l.handle(machine.ServicesReady{All: true}) },

		"forged frame":   func(*rapid.T) { l.forge(machine.Heard{}) },
		"forged test":    func(t *rapid.T) { l.forge(machine.Heard{Addr: address(t), Sign: machine.Tests}) },
		"forged use":     func(t *rapid.T) { l.forge(machine.Heard{Addr: address(t), Sign: machine.Uses}) },
		"forged data":    func(t *rapid.T) { l.forge(machine.Heard{Addr: address(t), Sign: machine.Data}) },
		"forged address": func(*rapid.T) { l.forge(machine.Heard{Addr: away, Sign: machine.Uses}) },
		"forged answer": func(t *rapid.T) {
			l.forgeAnswer(machine.Answered{Addr: address(t), Proof: machine.Proof(rapid.IntRange(0, 2).Draw(t, "proof"))})
		},

		"visited":      func(*rapid.T) { l.handle(machine.Visited{}) },
		"rival comes":  func(t *rapid.T) { l.rival(address(t)) },
		"rival goes":   func(*rapid.T) { clear(l.rivals) },
		"tested":       func(t *rapid.T) { l.handle(machine.Contested{Addr: address(t), By: rival}) },
		"network gone": func(t *rapid.T) { l.place(address(t), "on none of our networks") },
		"network back": func(t *rapid.T) { l.place(address(t), "") },
		"link out":     func(*rapid.T) { l.link(true) },
		"link back":    func(*rapid.T) { l.link(false) },
		"lost":         func(t *rapid.T) { l.drop = rapid.IntRange(0, 5).Draw(t, "questions") },
		"stall":        func(t *rapid.T) { l.stall(seconds(t, 0, 5)) },
		"restart":      func(t *rapid.T) { l.restart(seconds(t, 0, 60)) },
		"crash": func(t *rapid.T) {
			l.crash(seconds(t, 0, 300), rapid.IntRange(0, 4).Draw(t, "tail") == 0)
		},
		"policy": func(t *rapid.T) {
			l.policy.WakeAttempts = max(l.policy.WakeAttempts, rapid.IntRange(1, 6).Draw(t, "attempts"))
			l.policy.ReadyTimeout = seconds(t, 1, 60)
			l.handle(machine.PolicyChanged{Policy: l.policy})
		},
		"spec": func(*rapid.T) {
			if l.m == nil {
				return // it was forgotten
			}
			s := l.m.Spec()
			s.IdleWatts++
			l.handle(machine.SpecChanged{Spec: s})
		},
	}
}

// sleeps has the host register and be off a little later.
func (l *lan) sleeps(after time.Duration) {
	if l.host.power != up {
		return
	}
	l.register(false)
	turns := l.host.turns
	l.q.after(after, func() {
		if l.host.turns == turns {
			l.host.cut()
		}
	})
}

// pause has the porter leave the machine alone.
func (l *lan) pause(d time.Duration) {
	l.handle(machine.PauseRequested{Until: l.q.now.Add(d), By: "test"})
}

func (l *lan) registers(here bool) {
	if l.host.power == up && !l.cut {
		l.register(here)
	}
}

// forge has another host send a frame in the machine's name. One that speaks for an
// address under test would fail that test by itself.
func (l *lan) forge(e machine.Heard) {
	if l.host.use[e.Addr] == probing {
		return
	}
	if e.Sign == machine.Tests {
		l.forged = l.q.now
	}
	l.hear(e, false)
}

// forgeAnswer has another host send what has the form of an answer. While a question
// is open it cannot be distinguished from one: the liar does not know of it.
func (l *lan) forgeAnswer(e machine.Answered) {
	if n := len(l.questions); l.host.use[e.Addr] != probing && (n == 0 || l.q.now.Sub(l.questions[n-1].at) >= 3*time.Second) {
		l.handle(e)
	}
}

// rival has another host use an address, and say so.
func (l *lan) rival(ip netip.Addr) {
	if l.host.use[ip] != unused || l.cut {
		return
	}
	l.rivals[ip] = true
	l.handle(machine.Conflicted{Addr: ip, By: rival})
}

// restart ends the porter in good order, and has it come back.
func (l *lan) restart(d time.Duration) {
	if l.m == nil {
		return
	}
	l.stop(false)
	l.memory = l.m.Memory()
	l.crash(d, false)
}

// stall has the porter handle nothing for a while. What comes meanwhile waits.
func (l *lan) stall(d time.Duration) {
	l.stalled = l.q.now.Add(d)
	l.disturbed = l.stalled
	l.excuse()
}
