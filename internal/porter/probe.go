package porter

import (
	"errors"
	"time"

	"nightporter/internal/machine"
)

// probe asks for the machine's addresses. A probe that could not be sent says nothing
// about the machine, so it must not count as silence.
func (p *Porter) probe(r *entry, a machine.Probe) {
	if !r.credible(time.Now()) {
		r.Handle(time.Now(), machine.Unprobed{})
		return
	}
	asked, failed := false, r.nic.out()
	if failed == nil {
		asked, failed = r.send(a)
	}
	if failed != nil && !r.probeFailed {
		p.log.Warn("cannot probe", "machine", r, "err", failed)
	}
	r.probeFailed = failed != nil
	if !asked {
		r.Handle(time.Now(), machine.Unprobed{})
	}
}

// send asks a question for each address, and reports whether anything that was
// sent may be answered.
func (r *entry) send(a machine.Probe) (asked bool, failed error) {
	mac := r.Spec().MAC
	for _, ip := range a.Addrs {
		err := r.nic.probe(mac, ip)
		if err == nil && a.Broadcast {
			err = r.nic.probe(machine.Broadcast, ip)
		}
		asked = asked || err == nil
		failed = errors.Join(failed, err)
	}
	if a.Broadcast && failed == nil {
		failed = r.nic.carrier()
		asked = failed == nil
	}
	return asked, failed
}

// credible reports whether the silence of a machine that is not expected to sleep
// would be its own. If not, the log says so of the interface.
func (r *entry) credible(now time.Time) bool {
	return r.attention() != attended || r.nic.out() == nil && !now.Before(r.nic.credible)
}
