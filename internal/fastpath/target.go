package fastpath

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"nightporter/internal/ether"
	"nightporter/internal/handover"
	"nightporter/internal/machine"
	"nightporter/internal/wakefilter"
)

// Target is one machine as the readers see it. Its spec never changes: a machine that
// registers anew gets a new Target. Its flags for queued sightings bound what a flood of
// frames can queue: one of each kind.
type Target struct {
	MAC      ether.MAC      // by which the loop finds its own state of the machine
	cardMAC  ether.MAC      // that wakes it, often MAC; its boot firmware speaks with it
	wakeFrom []netip.Prefix // may wake it, of those that may wake at all; empty: all of them
	addrs    []*Address
	hold     *handover.Hold
	filter   *wakefilter.Filter

	cardAnswers atomic.Bool // its network card answers our requests, so an answer proves nothing; the loop sets it
	doubtful    atomic.Bool // it may be up after all, so traffic for it is reported; the loop sets it
	undefended  atomic.Bool // another host that tests an address may have it; the loop sets it
	requesters  requesters

	// On their way to the loop.
	frame       atomic.Bool
	otherAnswer atomic.Bool
	traffic     atomic.Bool
	request     atomic.Bool
	ignored     atomic.Bool
}

// Address is one address of a target.
type Address struct {
	target   *Target
	ip       netip.Addr
	mac      ether.MAC // where it is: the target's, or that of its guest
	services []*Service

	answering atomic.Bool // answer for it now; the reader itself clears it when the machine speaks
	guarded   atomic.Bool // claimed, or returned a moment ago: our kernel is kept silent about it
	conceded  atomic.Bool // left to another host: its packets are not looked at

	// On their way to the loop.
	reported [kinds]atomic.Bool // by kind, of what the machine sent
	conflict atomic.Bool
	contest  atomic.Bool
	diverted atomic.Bool
}

// Service is one service of an address, at which a knock wakes.
type Service struct {
	ID machine.Service

	wakeFrom    []netip.Prefix // may wake it, of those that may wake the machine; empty: all of them
	established *bool          // data on a connection knocks; nil: as for all services

	// On their way to the loop.
	knock  atomic.Bool
	accept atomic.Bool
	reset  atomic.Bool
	reject atomic.Bool
}

// NewTarget returns the machine of spec, with the packets that are held for it and
// the filter that decides which knocks wake it. Nothing is answered for it so far.
func NewTarget(spec machine.Spec, hold *handover.Hold, filter *wakefilter.Filter) *Target {
	t := &Target{MAC: spec.MAC, cardMAC: spec.MagicMAC(), wakeFrom: spec.WakeFrom, hold: hold, filter: filter}
	for _, m := range spec.Monitor {
		a := &Address{target: t, ip: m.IP, mac: spec.Owner(m.IP)}
		for _, p := range m.Ports {
			own := m.Settings[p]
			a.services = append(a.services, &Service{
				ID: machine.Service{Addr: m.IP, Port: p}, wakeFrom: own.WakeFrom, established: own.Established,
			})
		}
		t.addrs = append(t.addrs, a)
	}
	return t
}

// Succeed copies the flags of an earlier target of the machine, also for addresses that
// remain, before the readers see t. For an address from which the machine has sent a frame
// it does not answer: that was reported to the loop.
func (t *Target) Succeed(old *Target) {
	t.cardAnswers.Store(old.cardAnswers.Load())
	t.doubtful.Store(old.doubtful.Load())
	t.undefended.Store(old.undefended.Load())
	t.requesters.byRequester = old.TakeRequesters()
	for _, a := range t.addrs {
		for _, was := range old.addrs {
			if was.ip == a.ip && was.mac == a.mac {
				a.answering.Store(was.answering.Load() && !was.silenced())
				a.guarded.Store(was.guarded.Load())
				a.conceded.Store(was.conceded.Load())
			}
		}
	}
}

// Addrs returns the machine's addresses.
func (t *Target) Addrs() []netip.Addr {
	addrs := make([]netip.Addr, len(t.addrs))
	for i, a := range t.addrs {
		addrs[i] = a.ip
	}
	return addrs
}

// Owner returns the MAC at which an address of the machine is.
func (t *Target) Owner(ip netip.Addr) ether.MAC {
	for _, a := range t.addrs {
		if a.ip == ip {
			return a.mac
		}
	}
	return t.MAC
}

// Services returns the services of the machine, at all its addresses.
func (t *Target) Services() []machine.Service {
	var all []machine.Service
	for _, a := range t.addrs {
		for _, s := range a.services {
			all = append(all, s.ID)
		}
	}
	return all
}

// Answer makes the readers answer for these addresses.
func (t *Target) Answer(ips []netip.Addr) {
	t.SetGuarded(ips, true)
	t.setAnswer(ips, true)
}

// SetGuarded sets whether our kernel is kept silent about these addresses, so that only the
// readers forward packets for them.
func (t *Target) SetGuarded(ips []netip.Addr, ours bool) {
	for _, a := range t.addrs {
		if slices.Contains(ips, a.ip) {
			a.guarded.Store(ours)
		}
	}
}

// Silence makes the readers stop answering for these addresses.
func (t *Target) Silence(ips []netip.Addr) { t.setAnswer(ips, false) }

func (t *Target) setAnswer(ips []netip.Addr, answer bool) {
	for _, a := range t.addrs {
		if slices.Contains(ips, a.ip) {
			a.answering.Store(answer)
		}
	}
}

// Silent returns one of these addresses for which the readers do not answer, if there is
// any.
func (t *Target) Silent(ips []netip.Addr) (netip.Addr, bool) {
	for _, a := range t.addrs {
		if !a.answering.Load() && slices.Contains(ips, a.ip) {
			return a.ip, true
		}
	}
	return netip.Addr{}, false
}

// Concede leaves an address to another host, or takes it back.
func (t *Target) Concede(ip netip.Addr, conceded bool) {
	for _, a := range t.addrs {
		if a.ip == ip {
			a.conceded.Store(conceded)
		}
	}
}

// SetCardAnswers sets whether the machine's network card answers while the machine sleeps,
// so that an answer proves nothing.
func (t *Target) SetCardAnswers(answers bool) { t.cardAnswers.Store(answers) }

// SetDoubtful sets whether traffic for the machine is reported because it may be up after
// all.
func (t *Target) SetDoubtful(doubtful bool) { t.doubtful.Store(doubtful) }

// SetUndefended sets whether another host that tests an address may have it because the
// machine did not wake.
func (t *Target) SetUndefended(undefended bool) { t.undefended.Store(undefended) }

// Silenced returns those of the addresses for which the readers have stopped answering and
// the sighting is still queued. Frames that its network card may have sent do not count.
func (t *Target) Silenced(ips []netip.Addr) []netip.Addr {
	var spoken []netip.Addr
	for _, a := range t.addrs {
		if slices.Contains(ips, a.ip) && a.silenced() {
			spoken = append(spoken, a.ip)
		}
	}
	return spoken
}

// silenced reports whether a sighting of the address is queued for which the reader stopped
// answering.
func (a *Address) silenced() bool {
	for _, kind := range []Kind{SawTest, SawUse, SawPacket, SawAnswer} {
		if a.reported[kind].Load() && !(kind == SawAnswer && a.cardAnswers()) {
			return true
		}
	}
	return slices.ContainsFunc(a.services, func(s *Service) bool { return s.accept.Load() || s.reset.Load() })
}

// cardAnswers reports whether an answer for the address may be that of the network card. The
// card does not answer for a guest.
func (a *Address) cardAnswers() bool { return a.mac == a.target.MAC && a.target.cardAnswers.Load() }

// IP returns the address itself.
func (a *Address) IP() netip.Addr { return a.ip }

// MAC returns where the address is: at the machine, or at a guest of it.
func (a *Address) MAC() ether.MAC { return a.mac }

// Target returns the machine whose address it is.
func (a *Address) Target() *Target { return a.target }

// Answering reports whether the readers answer for the address.
func (a *Address) Answering() bool { return a.answering.Load() }

// AnswersClients reports whether the readers answer clients: also while the machine is up
// and its services are not ready, because it would refuse the clients.
func (a *Address) AnswersClients() bool {
	return a.answering.Load() || a.guarded.Load() && a.target.hold.HoldsUnready()
}

// Up reports whether all packets for the address go to the machine.
func (a *Address) Up() bool { return a.target.hold.Opened() && !a.conceded.Load() }

// service returns the service at a port, or nil.
func (a *Address) service(port machine.Port) *Service {
	for _, s := range a.services {
		if s.ID.Port == port {
			return s
		}
	}
	return nil
}
