package machine

import (
	"net/netip"
	"slices"
	"time"
)

// owed are addresses that were released because their machine speaks, and whose
// return the LAN has not been told. While the machine still tests an address, a
// packet that says who has it would make the test fail, even one that names the
// machine itself (RFC 4862 section 5.4.4, RFC 5227 section 2.1.1). So each is
// announced when it is seen in use.
type owed struct {
	addrs     []netip.Addr
	until     time.Time // then nobody waits any more: the machine does not use them
	nextProbe time.Time // in Awake only; Settling probes anyway
}

// owedFor is how long we look for an address after its release. A start that
// tests its addresses is over in 9 s (RFC 5227 section 1.1).
const owedFor = 20 * time.Second

// letGo releases every address of a machine that speaks.
func (m *Machine) letGo(now time.Time) {
	m.owe(now, m.claimed)
	m.release()
}

func (m *Machine) owe(now time.Time, addrs []netip.Addr) {
	if len(addrs) > 0 {
		m.owed = owed{addrs: slices.Clone(addrs), until: now.Add(owedFor), nextProbe: now}
	}
}

// Owing reports whether addresses of the machine are to be announced as soon as
// it uses them.
func (m *Machine) Owing() bool { return len(m.owed.addrs) > 0 }

// uses notes that the machine uses an address.
func (m *Machine) uses(ip netip.Addr) {
	if m.state == Arriving && !slices.Contains(m.wake.inUse, ip) {
		m.wake.inUse = append(m.wake.inUse, ip)
	}
	if i := slices.Index(m.owed.addrs, ip); i >= 0 {
		m.owed.addrs = slices.Delete(m.owed.addrs, i, i+1)
		m.do(Announce{Addrs: []netip.Addr{ip}})
	}
	if len(m.owed.addrs) == 0 {
		m.owed = owed{}
	}
}

// tickOwed asks an awake machine for the addresses it has not shown yet.
func (m *Machine) tickOwed(now time.Time) {
	if !now.Before(m.owed.until) {
		m.owed = owed{}
		return
	}
	m.do(Probe{Addrs: slices.Clone(m.owed.addrs)})
	m.owed.nextProbe = now.Add(arrivalProbeInterval)
}
