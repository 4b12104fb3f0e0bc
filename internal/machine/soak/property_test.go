package soak

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nightporter/internal/machine"
)

// TestLives: whatever happens, in whatever order, no check fails.
func TestLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{now: time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)}
		s := &scenario{porter: newPorter(q, rapid.Uint64().Draw(t, "seed"), t.Fatalf)}
		s.agentless = rapid.Bool().Draw(t, "agentless")
		s.unwatched = rapid.Bool().Draw(t, "unwatched")
		s.policy.OverrideOffload = rapid.Bool().Draw(t, "override")
		s.policy.WakeAttempts = rapid.IntRange(1, 6).Draw(t, "attempts")
		s.policy.Holdoff = time.Duration(rapid.IntRange(0, 10).Draw(t, "holdoff")) * time.Second
		s.policy.Keep = rapid.IntRange(0, 9).Draw(t, "keep") > 0
		s.host.nicReplies = s.policy.OverrideOffload && rapid.Bool().Draw(t, "NIC replies")
		s.begin()
		t.Repeat(lifeActions(s))
		s.stop(rapid.Bool().Draw(t, "wake"))
	})
}

// lifeActions are what can happen next.
func lifeActions(s *scenario) map[string]func(*rapid.T) {
	seconds := func(t *rapid.T, least, most int) time.Duration {
		return time.Duration(rapid.IntRange(1000*least, 1000*most).Draw(t, "ms")) * time.Millisecond
	}
	address := func(t *rapid.T) netip.Addr { return rapid.SampledFrom(registered).Draw(t, "address") }
	return map[string]func(*rapid.T){
		"moment": func(t *rapid.T) { s.q.run(s.q.now.Add(seconds(t, 0, 3))) },
		"time":   func(t *rapid.T) { s.q.run(s.q.now.Add(seconds(t, 1, 60))) },
		"hours":  func(t *rapid.T) { s.q.run(s.q.now.Add(seconds(t, 60, 12000))) },

		"switched on": func(t *rapid.T) {
			if s.host.power != off {
				t.Skip("it is on")
			}
			s.host.testTime = seconds(t, 1, 9)
			s.host.talkInterval = rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Second}).Draw(t, "talk")
			s.host.dhcp = rapid.Bool().Draw(t, "dhcp")
			s.host.elsewhere = rapid.IntRange(0, 5).Draw(t, "elsewhere") == 0
			s.host.start(seconds(t, 0, 20))
		},
		"power cut":      func(*rapid.T) { s.host.cutPower() },
		"sleeps":         func(t *rapid.T) { s.sleep(seconds(t, 0, 5)) },
		"registers only": func(*rapid.T) { s.register(false) },
		"is here":        func(*rapid.T) { s.register(true) },
		"stubborn":       func(t *rapid.T) { s.host.ignoresMagic = rapid.Bool().Draw(t, "ignores magic packets") },

		"knock":            func(t *rapid.T) { s.knock(rapid.SampledFrom([]machine.Service{ssh, game}).Draw(t, "service")) },
		"wake requested":   func(*rapid.T) { s.requestWake(false) },
		"test requested":   func(*rapid.T) { s.requestWake(true) },
		"pause":            func(t *rapid.T) { s.pause(seconds(t, 1, 7200)) },
		"pause over":       func(*rapid.T) { s.endPause() },
		"ready, unchecked": func(*rapid.T) { s.handle(machine.ServicesReady{All: true}) },

		"forged frame":   func(*rapid.T) { s.forge(machine.Heard{}) },
		"forged test":    func(t *rapid.T) { s.forge(machine.Heard{Addr: address(t), Sign: machine.Tests}) },
		"forged use":     func(t *rapid.T) { s.forge(machine.Heard{Addr: address(t), Sign: machine.Uses}) },
		"forged data":    func(t *rapid.T) { s.forge(machine.Heard{Addr: address(t), Sign: machine.Data}) },
		"forged address": func(*rapid.T) { s.forge(machine.Heard{Addr: otherIP, Sign: machine.Uses}) },
		"forged answer": func(t *rapid.T) {
			s.forgeAnswer(machine.Answered{Addr: address(t), Proof: machine.Proof(rapid.IntRange(0, 2).Draw(t, "proof"))})
		},

		"visited":      func(*rapid.T) { s.handle(machine.Visited{}) },
		"rival comes":  func(t *rapid.T) { s.startRival(address(t)) },
		"rival goes":   func(*rapid.T) { clear(s.rivals) },
		"tested":       func(t *rapid.T) { s.handle(machine.Contested{Addr: address(t), By: rivalMAC}) },
		"network gone": func(t *rapid.T) { s.setNetwork(address(t), "on none of our networks") },
		"network back": func(t *rapid.T) { s.setNetwork(address(t), "") },
		"link out":     func(*rapid.T) { s.setLink(true) },
		"link back":    func(*rapid.T) { s.setLink(false) },
		"lost":         func(t *rapid.T) { s.dropProbes = rapid.IntRange(0, 5).Draw(t, "probes") },
		"stall":        func(t *rapid.T) { s.stall(seconds(t, 0, 5)) },
		"restart":      func(t *rapid.T) { s.restart(seconds(t, 0, 60)) },
		"crash": func(t *rapid.T) {
			s.crash(seconds(t, 0, 300), rapid.IntRange(0, 4).Draw(t, "tail") == 0)
		},
		"policy": func(t *rapid.T) {
			s.policy.WakeAttempts = max(s.policy.WakeAttempts, rapid.IntRange(1, 6).Draw(t, "attempts"))
			s.policy.ReadyTimeout = seconds(t, 1, 60)
			s.handle(machine.PolicyChanged{Policy: s.policy})
		},
		"spec": func(*rapid.T) {
			if s.m == nil {
				return // it was forgotten
			}
			changed := s.m.Spec()
			changed.IdleWatts++
			s.handle(machine.SpecChanged{Spec: changed})
		},
	}
}
