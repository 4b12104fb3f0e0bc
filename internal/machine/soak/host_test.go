package soak

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"nightporter/internal/machine"
)

// power is what a host does with its current.
type power uint8

const (
	off      power = iota
	firmware       // it boots: its firmware may ask for an address
	up             // its operating system is there
)

// use is what a host does with one address.
type use uint8

const (
	unused use = iota
	probing
	used
)

// host is what a machine really does.
type host struct {
	l     *lan
	power power
	use   map[netip.Addr]use
	ready bool      // its services are
	since time.Time // it does that
	turns int       // of its power, so that nothing of one start reaches the next

	card      bool          // its network card answers ARP while it is off
	talk      time.Duration // between two frames of its own; 0: it is quiet
	boots     time.Duration // from its power to its first test
	tests     time.Duration // how long it tests its IPv4 address
	serves    time.Duration // from its first address to its services
	elsewhere bool          // it comes up at another address
	stubborn  bool          // no magic packet wakes it
	dhcp      bool          // its firmware asks for an address
	isUp      func()        // what it does when it is up

	life timer // what is to come of its present start
}

// start powers a host on, in its own time.
func (h *host) start(boots time.Duration) {
	if h.power != off {
		return
	}
	h.turn(firmware)
	if h.dhcp {
		h.l.q.after(boots/3, func() {
			if h.power == firmware {
				h.say(machine.Heard{})
			}
		})
	}
	h.life.set(h.l.q, h.l.q.now.Add(boots), h.testAll)
	h.l.review()
}

// turn changes the power.
func (h *host) turn(to power) {
	h.power, h.since = to, h.l.q.now
	h.turns++
}

// testAll begins to test the addresses (RFC 5227 section 2.1, RFC 4862 section 5.4).
func (h *host) testAll() {
	h.turn(up)
	if h.elsewhere {
		h.use[away] = used
		h.say(machine.Heard{Addr: away, Sign: machine.Uses})
		h.goOn()
		return
	}
	h.test(ip4, h.tests)
	h.test(ip6, time.Second)
	h.goOn()
}

// test tests one address for so long, with pauses of no more than ANNOUNCE_WAIT.
func (h *host) test(ip netip.Addr, left time.Duration) {
	started := h.turns
	h.use[ip] = probing
	h.say(machine.Heard{Addr: ip, Sign: machine.Tests})
	pause := min(left, time.Second+time.Duration(h.l.rand.Int64N(int64(1300*time.Millisecond))))
	h.l.q.after(pause, func() {
		switch {
		case h.power != up || h.turns != started:
		case left > pause:
			h.test(ip, left-pause)
		default:
			h.use[ip] = used
			h.say(machine.Heard{Addr: ip, Sign: machine.Uses})
			h.l.review()
		}
	})
}

// goOn has the services ready after a while, and the host talk.
func (h *host) goOn() {
	started := h.turns
	h.isUp()
	h.l.q.after(h.tests+h.serves, func() {
		if h.turns == started {
			h.ready = true
			h.l.serve()
		}
	})
	if h.talk > 0 {
		h.l.q.after(h.talk, func() { h.chat(started) })
	}
	h.l.review()
}

func (h *host) chat(started int) {
	if h.power != up || h.turns != started {
		return
	}
	for _, ip := range []netip.Addr{ip4, away} {
		if h.use[ip] == used {
			h.say(machine.Heard{Addr: ip, Sign: machine.Sign(2 + h.l.rand.IntN(2))})
		}
	}
	h.l.q.after(h.talk/2+time.Duration(h.l.rand.Int64N(int64(h.talk))), func() { h.chat(started) })
}

// cut is a power cut, or the last moment of a shutdown.
func (h *host) cut() {
	h.life.stop()
	h.turn(off)
	h.ready = false
	clear(h.use)
	h.l.review()
}

// say sends a frame of its own.
func (h *host) say(e machine.Heard) { h.l.hear(e, true) }

// answers returns what a question brings, and whether the host itself answered.
func (h *host) answers(ip netip.Addr, system bool) (proofs []machine.Proof) {
	own := ip == ip4 || ip == ip6
	switch {
	case h.power == up && h.use[ip] == used:
		proofs = append(proofs, machine.ByNeighbor)
		if system {
			proof := machine.ByEcho
			if ip == ip4 {
				proof = machine.BySystem
			}
			proofs = append(proofs, proof)
		}
	case h.power == off && h.card && own:
		proofs = append(proofs, machine.ByNeighbor)
	}
	return proofs
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}
