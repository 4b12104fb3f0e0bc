package porter

import (
	"net/netip"
	"reflect"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// admission is a registration that passed the rules of trust.
type admission struct {
	registration.Request
	peer        netip.AddrPort
	places      []machine.Place
	nic         *nic
	fromMachine bool      // the machine itself sent it, or a client with its token
	replaced    ether.MAC // MAC of the machine that it replaces
}

// admit accepts a registration, or returns why not.
func (l *loop) admit(a admission) error {
	wanted, had := a.Name, ""
	if e := l.machines.byMAC[a.MAC]; e != nil {
		had = e.name()
	}
	why, err := l.checkAdmission(&a)
	if err != nil {
		return err
	}
	if old := l.machines.byMAC[a.replaced]; old != nil {
		l.replaceCard(old, a.Spec)
	}
	e := l.machines.byMAC[a.MAC]
	if e == nil {
		e = l.insert(machine.New(a.Spec, l.policy(), time.Now()))
	}
	if err := l.register(e, a); err != nil {
		return err
	}
	switch {
	case had == a.Name:
	case why != "":
		naming{l}.reportName(e, wanted, why)
	case had != "":
		l.log.Info("machine renamed", "event", "renamed_itself", "machine", e, "mac", a.MAC, "before", had)
		l.journal.Append(journal.Record{Event: journal.Event{Kind: journal.Renamed, At: time.Now(), Machine: a.Name, MAC: a.MAC, By: had}})
	}
	return nil
}

// checkAdmission gives a machine its name, and returns why that is not the requested one. An
// error says why the machine is not accepted.
func (l *loop) checkAdmission(a *admission) (why string, err error) {
	why = l.machines.assignName(&a.Spec, a.replaced, l.machines.configuredNames())
	if err := l.machines.protect(a.Request, a.fromMachine); err != nil {
		return "", err
	}
	var proved []netip.Addr
	if l.conf.Registration.Trust == registration.Self.String() {
		proved = claimable(a.places)
	}
	if err := l.machines.checkRoom(a.Request, proved, a.replaced, l.conf.Registration.MaxMachines); err != nil {
		return "", err
	}
	if err := l.machines.checkGuests(a.Request, a.places, a.replaced); err != nil {
		return "", err
	}
	return why, nil
}

// register passes a registration to a known machine.
func (l *loop) register(e *entry, a admission) error {
	now, was, spec, n := time.Now(), e.Spec(), a.Spec, a.nic
	spec.Agentless = e.configured != nil && e.configured.Agentless
	changed := !reflect.DeepEqual(was, spec)
	if e.HasRegistered() && changed {
		if err := l.restraint.Change(spec.MAC, now); err != nil {
			return err
		}
	}
	if was.Name != spec.Name {
		if err := l.restraint.Rename(spec.MAC, was.Name, spec.Name, now); err != nil {
			return err
		}
		naming{l}.changeName(e, was.Name, spec.Name)
	}
	if e.nic != nil && e.nic != n {
		// It moved to another network: its claims on the old one are released.
		l.dispatch(e, machine.Stopped{})
		e.nic.viewStale = true
	}
	e.nic, e.placed = n, a.places
	repeated := e.HasRegistered() && !changed && !l.restraint.Record(spec.MAC, now)
	if changed && e.HasRegistered() && e.sleeps() {
		l.log.Warn("the registration of a sleeping machine has changed", "event", "redefined", "machine", spec.Name, "mac", spec.MAC, "peer", a.peer.String())
		l.journal.Append(journal.Record{Event: journal.Event{Kind: journal.Redefined, At: now, Machine: spec.Name, MAC: spec.MAC, Source: a.peer}})
	}
	if !repeated {
		l.log.Info("machine registered", "event", "registered", "machine", spec.Name, "mac", spec.MAC, "monitor", monitored(spec))
	}
	l.changeSpec(e, spec, machine.Registered{Spec: spec, Here: a.Here, Places: a.places, Repeated: repeated})
	if l.machines.share(e) {
		l.place() // one of the two machines loses the address
	}
	return nil
}

// replaceCard gives the name and the memory of a machine to a new network card.
func (l *loop) replaceCard(old *entry, spec machine.Spec) {
	l.log.Info("network card replaced", "event", "card_replaced", "machine", old, "mac", spec.MAC, "mac_before", old.Spec().MAC)
	mac := old.Spec().MAC
	mem := l.stopAndRemove(old)
	l.journal.Append(journal.Record{Forgotten: mac, Event: journal.Event{
		Kind: journal.CardReplaced, At: time.Now(), Machine: spec.Name, MAC: spec.MAC, By: mac.String()}})
	var configured *machine.Spec
	if known := l.machines.byMAC[spec.MAC]; known != nil { // under another name
		configured = known.configured
		l.stopAndRemove(known)
	}
	mem.Spec, mem.State, mem.Since, mem.NICAnswers, mem.OtherAddrs = spec, machine.Awake, time.Now(), false, nil
	l.insert(machine.Restore(mem, l.policy(), time.Now(), time.Now())).configured = configured
}
