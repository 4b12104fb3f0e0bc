package porter

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nightporter/internal/config"
	"nightporter/internal/fastpath"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// night is a porter on a real interface, on fake time. The test is its loop: it
// hands in frames and lets time pass. Probes and magic packets go out on the
// interface, where nobody answers; answers and announcements are kept.
type night struct {
	*testing.T
	*Porter
	n         *nic
	reg       *prometheus.Registry
	log       bytes.Buffer
	announced []announced
	replies   int
	forward   func(*lan.Packet, machine.MAC) error // nil: onto the wire
}

type announced struct {
	on *nic
	at time.Duration // since the interface was opened
	ip netip.Addr
	to machine.MAC
}

// overnight runs f as a porter's loop, inside the namespace of the lab's
// porter. conf may be nil.
func overnight(t *testing.T, conf func(*config.Config), f func(*night)) {
	t.Helper()
	host := labtest.New(t).Porter()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		err := host.Do(func() error {
			h := &night{T: t}
			h.Porter, h.reg = vacant(t, &h.log)
			if conf != nil {
				conf(h.conf)
			}
			h.n = h.open()
			defer h.Close()
			f(h)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// open opens the interface once more.
func (h *night) open() *nic {
	h.Helper()
	n, err := openNIC(lab.Interface, false, h.sightings, h.replied, h.Porter.log)
	if err != nil {
		h.Fatal(err)
	}
	began := time.Now()
	h.stub(n, func([]byte) error { h.replies++; return nil }, func(p *lan.Packet, to machine.MAC) error {
		if h.forward != nil {
			return h.forward(p, to)
		}
		return n.forward(p, to)
	})
	n.announcer.Send = func(ip netip.Addr, owner machine.MAC) {
		h.announced = append(h.announced, announced{n, time.Since(began), ip, owner})
	}
	h.nics = append(h.nics, n)
	return n
}

// stub gives n a reader whose frames and packets go elsewhere.
func (p *Porter) stub(n *nic, send func([]byte) error, forward func(*lan.Packet, machine.MAC) error) {
	n.reader = fastpath.New(fastpath.Options{Send: send, Forward: forward, Replied: p.replied, Sightings: p.sightings})
	n.reader.SetSelf(n.MAC())
}

// register lets a machine in.
func (h *night) register(spec machine.Spec) *entry {
	h.admit(spec, h.n)
	h.publish()
	return h.byMAC[spec.MAC]
}

// pass lets time pass, and does what is due.
func (h *night) pass(d time.Duration) {
	for end := time.Now().Add(d); ; {
		next := h.next()
		if next.IsZero() || next.After(end) {
			time.Sleep(time.Until(end))
			return
		}
		time.Sleep(time.Until(next))
		h.tick()
		h.publish()
	}
}

// frame hands a frame to the reader, and what it saw to the loop.
func (h *night) frame(p *lan.Packet) {
	h.n.reader.Handle(p)
	h.tick()
	h.publish()
}

// answers tells whether a client that has not knocked and asks for ip is
// answered.
func (h *night) answers(ip netip.Addr) bool { return h.answersTo(passerMAC, ip) }

// answersTo tells whether the client with this MAC is.
func (h *night) answersTo(mac machine.MAC, ip netip.Addr) bool {
	before := h.replies
	if ip.Is4() {
		h.frame(arpRequest(mac, machine.Broadcast, client4, ip))
	} else {
		h.frame(solicit(mac, client6, ip))
	}
	return h.replies > before
}

// want fails the test unless the machine is in the state, and answered for at
// exactly these addresses.
func (h *night) want(r *entry, state machine.State, answered ...netip.Addr) {
	h.Helper()
	if r.State() != state {
		h.Fatalf("%s is %v, want %v\n%s", r.name(), r.State(), state, &h.log)
	}
	spec := r.Spec()
	for _, ip := range spec.Addrs() {
		if got := h.answers(ip); got != slices.Contains(answered, ip) {
			h.Errorf("%s is %v, answered for at %v: %t", r.name(), state, ip, got)
		}
	}
}

// told returns who was announced for ip on h.n since the last call, and forgets it.
func (h *night) told(ip netip.Addr) (owners []machine.MAC) {
	h.announced = slices.DeleteFunc(h.announced, func(a announced) bool {
		mine := a.ip == ip && a.on == h.n
		if mine {
			owners = append(owners, a.to)
		}
		return mine
	})
	return owners
}

// asleep lets a machine register and fall silent, with the defaults.
func (h *night) asleep(spec machine.Spec) *entry {
	h.Helper()
	r := h.register(spec)
	h.pass(3*time.Second + time.Millisecond)
	h.want(r, machine.Asleep, spec.Addrs()...)
	return r
}
