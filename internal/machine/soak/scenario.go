package soak

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"nightporter/internal/machine"
)

// scenario makes things happen to a host and its porter.
type scenario struct {
	*porter
	choices *rand.Rand // of what happens at random
}

// register sends a registration: of a host that will sleep soon, or of one that is here.
func (s *scenario) register(here bool) {
	if s.host.power != up || s.cut {
		return
	}
	s.sendRegistration(here)
}

func (s *scenario) sendRegistration(here bool) {
	registration := spec()
	registration.Agentless, registration.Unwatched = s.agentless, s.unwatched
	s.handle(machine.Registered{Spec: registration, Here: here, Places: s.unplaced})
}

// sleep makes the host register and be off a little later.
func (s *scenario) sleep(after time.Duration) {
	if s.host.power != up {
		return
	}
	s.sendRegistration(false)
	started := s.host.powerChanges
	s.q.after(after, func() {
		if s.host.powerChanges == started {
			s.host.cutPower()
		}
	})
}

// sleepLater ends the host's present time up: by sleep, by a restart or by a power cut.
func (s *scenario) sleepLater() {
	started := s.host.powerChanges
	s.q.after(time.Duration(s.choices.ExpFloat64()*float64(40*time.Minute)), func() {
		if s.host.power != up || s.host.powerChanges != started {
			return
		}
		switch n := s.choices.IntN(10); {
		case n < 7 && !s.agentless && !s.cut && s.m != nil:
			s.sleep(between(s.choices, 0, 8*time.Second))
		case n == 7: // a restart without a registration
			s.host.cutPower()
			s.q.after(between(s.choices, 0, 20*time.Second), func() { s.switchOn(false) })
		default:
			s.host.cutPower()
		}
	})
}

// switchOn is an external start, perhaps at another address.
func (s *scenario) switchOn(elsewhere bool) {
	if s.host.power != off {
		return
	}
	s.host.elsewhere = elsewhere
	s.host.start(s.host.bootTime)
}

// startByTimer is an external start by the host's own timer, for up to a minute.
func (s *scenario) startByTimer() {
	if s.host.power != off {
		return
	}
	s.switchOn(false)
	started := s.host.powerChanges + 1 // the operating system after the firmware
	s.q.after(s.host.bootTime+between(s.choices, 8*time.Second, time.Minute), func() {
		if s.host.powerChanges == started {
			s.host.cutPower()
		}
	})
}

// knock is a packet of a client, which the porter receives unless it ignores or forwards it.
func (s *scenario) knock(service machine.Service) {
	if s.m == nil || s.cut || s.hold == machine.Ignore || s.hold == machine.AdmitAll {
		return
	}
	s.handle(machine.Knocked{Service: service, Source: clientAddr})
}

// client knocks as TCP does, until a service answers or six packets are sent.
func (s *scenario) client() {
	service := []machine.Service{ssh, game}[s.choices.IntN(2)]
	for _, after := range []int{0, 1, 3, 7, 15, 31} {
		s.q.after(time.Duration(after)*time.Second, func() {
			if !s.host.servicesReady {
				s.knock(service)
			}
		})
	}
}

// requestWake is a wake by the API.
func (s *scenario) requestWake(test bool) {
	s.handle(machine.WakeRequested{Trigger: machine.ByAPI, By: "soak", Test: test})
}

// ignoreMagic makes the host deaf to magic packets for some hours.
func (s *scenario) ignoreMagic() {
	s.host.ignoresMagic = true
	s.q.after(between(s.choices, time.Hour, 24*time.Hour), func() { s.host.ignoresMagic = false })
}

func (s *scenario) pause(d time.Duration) {
	s.handle(machine.PauseRequested{Until: s.q.now.Add(d), By: "soak"})
}

func (s *scenario) endPause() { s.handle(machine.ResumeRequested{By: "soak"}) }

// stallBriefly stalls a porter that runs.
func (s *scenario) stallBriefly() {
	if s.m != nil {
		s.stall(between(s.choices, 0, 5*time.Second))
	}
}

// setLink takes the porter's own link down or up.
func (s *scenario) setLink(down bool) {
	if s.cut == down {
		return
	}
	s.cut, s.checks.disturbed = down, s.q.now
	if !down {
		s.loseReception()
	}
	s.checks.review()
}

// setNetwork changes whether an address can be claimed: with a reason it cannot.
func (s *scenario) setNetwork(ip netip.Addr, reason string) {
	s.setPlace(ip, reason)
	s.checks.restartDeadline()
	s.handle(machine.Placed{Places: []machine.Place{{Addr: ip, Reason: reason}}})
	s.checks.review()
}

// startRival makes another host use an address and announce it.
func (s *scenario) startRival(ip netip.Addr) {
	if s.host.use[ip] != unused || s.cut {
		return
	}
	s.rivals[ip] = true
	s.handle(machine.Conflicted{Addr: ip, By: rivalMAC})
}

// forge is a frame that another host sends with the machine's addresses. A forged frame for
// an address that the host tests is left out, since it would fail that test by itself.
func (s *scenario) forge(e machine.Heard) {
	if s.host.use[e.Addr] == probing {
		return
	}
	if e.Sign == machine.Tests {
		s.checks.forged = s.q.now
	}
	s.hear(e, false)
}

// forgeAnswer is an answer that another host sends. It comes at least 3 s after the last
// probe: before, the porter cannot distinguish it from a real one.
func (s *scenario) forgeAnswer(e machine.Answered) {
	if s.host.use[e.Addr] != probing && s.q.now.Sub(s.checks.lastProbe()) >= 3*time.Second {
		s.handle(e)
	}
}

// forgeSome forges several frames, and an answer later.
func (s *scenario) forgeSome() {
	apart := between(s.choices, 300*time.Millisecond, 3*time.Second)
	for i := range 3 + s.choices.IntN(8) {
		e := machine.Heard{Addr: registered[s.choices.IntN(2)], Sign: machine.Sign(s.choices.IntN(4))}
		s.q.after(time.Duration(i)*apart, func() { s.forge(e) })
	}
	e := machine.Answered{Addr: registered[s.choices.IntN(2)], Proof: machine.Proof(s.choices.IntN(3))}
	s.q.after(between(s.choices, time.Minute, time.Hour), func() { s.forgeAnswer(e) })
}
