package soak

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"nightporter/internal/machine"
)

// power is the state of a host's power.
type power uint8

const (
	off      power = iota
	firmware       // it boots: its firmware may send DHCP requests
	up             // its operating system runs
)

// use is how a host uses one address.
type use uint8

const (
	unused use = iota
	probing
	used
)

// host is what a machine really does.
type host struct {
	q    *queue
	rand *rand.Rand

	power         power
	since         time.Time // of power
	powerChanges  int       // so that no event of one start reaches the next
	use           map[netip.Addr]use
	servicesReady bool

	nicReplies   bool          // its network card answers ARP while it is off (ARP offload)
	talkInterval time.Duration // mean time between its data frames; 0: none
	bootTime     time.Duration // from power on to its first probe
	testTime     time.Duration // length of its duplicate address detection for IPv4
	serviceDelay time.Duration // from its first address to its services
	elsewhere    bool          // it comes up at otherIP
	ignoresMagic bool          // no magic packet wakes it
	dhcp         bool          // its firmware sends DHCP requests

	send    func(machine.Heard) // sends a frame
	changed func()              // called after power or use changed
	onUp    func()              // called when its operating system runs
	onReady func()              // called when its services are ready

	boot timer
}

// newHost returns a host that is off. The caller sets send, changed and onReady.
func newHost(q *queue, r *rand.Rand) *host {
	return &host{
		q: q, rand: r, use: map[netip.Addr]use{},
		bootTime: 5 * time.Second, testTime: 5 * time.Second, serviceDelay: time.Second, onUp: func() {},
	}
}

// beUp makes the host one that has been up for some time.
func (h *host) beUp() {
	h.power, h.since, h.servicesReady = up, h.q.now, true
	h.use[ip4], h.use[ip6] = used, used
}

// start powers a host on that is off.
func (h *host) start(bootTime time.Duration) {
	if h.power != off {
		return
	}
	h.setPower(firmware)
	if h.dhcp {
		h.q.after(bootTime/3, func() {
			if h.power == firmware {
				h.send(machine.Heard{})
			}
		})
	}
	h.boot.set(h.q, h.q.now.Add(bootTime), h.comeUp)
	h.changed()
}

func (h *host) setPower(to power) {
	h.power, h.since = to, h.q.now
	h.powerChanges++
}

// comeUp starts duplicate address detection (RFC 5227 section 2.1, RFC 4862 section 5.4).
func (h *host) comeUp() {
	h.setPower(up)
	if h.elsewhere {
		h.use[otherIP] = used
		h.send(machine.Heard{Addr: otherIP, Sign: machine.Uses})
		h.startServices()
		return
	}
	h.test(ip4, h.testTime)
	h.test(ip6, time.Second)
	h.startServices()
}

// test probes for one address for the time that is left, with pauses of up to 2.3 s.
func (h *host) test(ip netip.Addr, left time.Duration) {
	started := h.powerChanges
	h.use[ip] = probing
	h.send(machine.Heard{Addr: ip, Sign: machine.Tests})
	pause := min(left, time.Second+time.Duration(h.rand.Int64N(int64(1300*time.Millisecond))))
	h.q.after(pause, func() {
		switch {
		case h.power != up || h.powerChanges != started:
		case left > pause:
			h.test(ip, left-pause)
		default:
			h.use[ip] = used
			h.send(machine.Heard{Addr: ip, Sign: machine.Uses})
			h.changed()
		}
	})
}

// startServices schedules the services and the data frames of a host that came up.
func (h *host) startServices() {
	started := h.powerChanges
	h.onUp()
	h.q.after(h.testTime+h.serviceDelay, func() {
		if h.powerChanges == started {
			h.servicesReady = true
			h.onReady()
		}
	})
	if h.talkInterval > 0 {
		h.q.after(h.talkInterval, func() { h.talk(started) })
	}
	h.changed()
}

// talk sends a frame from each address in use, again and again until the power changes.
func (h *host) talk(started int) {
	if h.power != up || h.powerChanges != started {
		return
	}
	for _, ip := range []netip.Addr{ip4, otherIP} {
		if h.use[ip] == used {
			h.send(machine.Heard{Addr: ip, Sign: machine.Sign(2 + h.rand.IntN(2))})
		}
	}
	h.q.after(h.talkInterval/2+time.Duration(h.rand.Int64N(int64(h.talkInterval))), func() { h.talk(started) })
}

// cutPower is a power cut, or the last moment of a shutdown.
func (h *host) cutPower() {
	h.boot.stop()
	h.setPower(off)
	h.servicesReady = false
	clear(h.use)
	h.changed()
}

// answers returns what the answers to a probe prove. A system probe asks the operating
// system too.
func (h *host) answers(ip netip.Addr, system bool) (proofs []machine.Proof) {
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
	case h.power == off && h.nicReplies && (ip == ip4 || ip == ip6):
		proofs = append(proofs, machine.ByNeighbor)
	}
	return proofs
}
