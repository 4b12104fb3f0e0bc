package machine

import (
	"net/netip"
	"slices"
	"time"
)

// owed are addresses that were released because their machine speaks, and whose
// return the LAN has not been told, or is being told. While the machine still
// tests an address, a packet that says who has it would make the test fail, even
// one that names the machine itself (RFC 4862 section 5.4.4, RFC 5227 section
// 2.1.1). So each is announced when it is seen in use.
type owed struct {
	addrs     []netip.Addr
	until     time.Time // then nobody waits any more: the machine does not use them
	nextProbe time.Time // in Awake only; Settling probes anyway
	telling   time.Time // until then announcements go out
}

// owedFor is how long we look for an address after its release. A start that
// tests its addresses is over in 9 s (RFC 5227 section 1.1).
const owedFor = 20 * time.Second

// AnnouncedFor bounds how long an Announce takes with its repetitions.
const AnnouncedFor = 8 * time.Second

// letGo releases every address of a machine that speaks.
func (m *Machine) letGo(now time.Time) {
	m.owe(now, m.claimed)
	m.release()
}

// next returns when something is due, or the zero time.
func (o *owed) next() time.Time { return earlier(o.telling, o.nextProbe) }

func (m *Machine) owe(now time.Time, addrs []netip.Addr) {
	for _, ip := range addrs {
		if !slices.Contains(m.owed.addrs, ip) {
			m.owed.addrs = append(m.owed.addrs, ip)
		}
	}
	if len(addrs) > 0 {
		m.owed.until, m.owed.nextProbe = now.Add(owedFor), now
	}
}

// drop takes ip out, and reports whether it was owed. With the last one the
// search ends.
func (o *owed) drop(ip netip.Addr) bool {
	i := slices.Index(o.addrs, ip)
	if i < 0 {
		return false
	}
	o.addrs = slices.Delete(o.addrs, i, i+1)
	if len(o.addrs) == 0 {
		*o = owed{telling: o.telling}
	}
	return true
}

// announce tells the LAN that the machine has its addresses.
func (m *Machine) announce(now time.Time, addrs []netip.Addr) {
	if len(addrs) > 0 {
		m.do(Announce{Addrs: addrs})
		m.owed.telling = now.Add(AnnouncedFor)
	}
}

// uses notes that the machine uses an address.
func (m *Machine) uses(now time.Time, ip netip.Addr) {
	if m.state == Arriving && !slices.Contains(m.wake.inUse, ip) {
		m.wake.inUse = append(m.wake.inUse, ip)
	}
	if m.owed.drop(ip) {
		m.announce(now, []netip.Addr{ip})
	}
}

// tests notes that the machine tests an address, perhaps one that its firmware
// has used before.
func (m *Machine) tests(now time.Time, ip netip.Addr) {
	if m.state == Arriving {
		m.wake.inUse = slices.DeleteFunc(m.wake.inUse, func(a netip.Addr) bool { return a == ip })
		return
	}
	if now.Before(m.owed.telling) && !slices.Contains(m.claimed, ip) && !m.Conceded(ip) {
		m.do(Hush{Addrs: []netip.Addr{ip}})
		m.owe(now, []netip.Addr{ip})
	}
}

// tickOwed asks an awake machine for the addresses it has not shown yet.
func (m *Machine) tickOwed(now time.Time) {
	if !now.Before(m.owed.until) {
		m.owed = owed{telling: m.owed.telling}
		return
	}
	m.probe(Probe{Addrs: slices.Clone(m.owed.addrs)}, m.CardAnswers())
	m.owed.nextProbe = now.Add(arrivalProbeInterval)
}
