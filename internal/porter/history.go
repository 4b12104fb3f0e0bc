package porter

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// book is what the porter writes into; *journal.Journal is the one in earnest.
type book interface {
	Append(journal.Record) (seq uint64)
	Sync(context.Context) error
	Healthy() error
	Events(since uint64, machine string, limit int) []journal.Event
	Follow(context.Context) <-chan journal.Event
}

// note puts what an event led to into the journal, which waits for no disk. The
// machine's memory goes with the last of it.
func (p *Porter) note(r *resident, actions []machine.Action) {
	var told []journal.Event
	wake := r.LastWake()
	for _, a := range actions {
		if e := tale(a, actions, &wake); e.Kind != "" {
			e.At, e.Machine, e.MAC = time.Now(), r.name(), r.Spec().MAC
			told = append(told, e)
		}
	}
	for i, e := range told {
		record := journal.Record{Event: e}
		if i == len(told)-1 {
			p.remember(r, &record)
		}
		p.journal.Append(record)
	}
}

// remember has record carry what is to be known of the machine after a restart.
func (p *Porter) remember(r *resident, record *journal.Record) {
	mac := r.Spec().MAC
	if p.byMAC[mac] != r || r.nic == nil && !r.Spec().Agentless {
		record.Forgotten = mac // it would have to register again
		return
	}
	mem := r.Memory()
	record.Memory = &mem
}

// tale tells an action as an event, or nothing. What belongs to a transition
// stands in the actions beside it; what ends a wake also tells whose it was.
func tale(a machine.Action, beside []machine.Action, wake *machine.LastWake) journal.Event {
	switch a := a.(type) {
	case machine.WakeBegan:
		e := journal.Event{Kind: journal.Asked}
		if a.Service.Addr.IsValid() {
			e.Kind = journal.Knock
		}
		because(&e, a.Trigger, a.Service, a.Source, a.By)
		return e
	case machine.SendMagic:
		return journal.Event{Kind: journal.Magic, Attempts: a.Attempt}
	case machine.ConflictSeen:
		return journal.Event{Kind: journal.Conflict, IP: a.Addr, By: a.By.String()}
	case machine.ConflictOver:
		return journal.Event{Kind: journal.ConflictOver, IP: a.Addr}
	case machine.Moved:
		e := taleOfMove(a)
		for _, b := range beside {
			switch b := b.(type) {
			case machine.WakeEnded:
				e.Boot = b.Boot
				if !b.Unready {
					e.Ready = b.Ready
				}
			case machine.WakeFailed:
				e.Attempts = b.Attempts
			default:
				continue
			}
			because(&e, wake.Trigger, wake.Service, wake.Source, wake.By)
		}
		return e
	}
	return journal.Event{}
}

// because has e tell why a machine is woken.
func because(e *journal.Event, t machine.Trigger, s machine.Service, source netip.AddrPort, by string) {
	e.Trigger, e.By = t.String(), by
	if s.Addr.IsValid() {
		e.Source, e.Service = source, s.String()
	}
}

func taleOfMove(m machine.Moved) journal.Event {
	e := journal.Event{Reason: string(m.Why)}
	if m.From == machine.Asleep {
		e.Slept = m.After
	}
	switch m.To {
	case machine.Settling:
		e.Kind = journal.Settling
		if m.Why == machine.WhyRegistered {
			e.Kind = journal.Registered
		}
	case machine.Waking:
		// Who wakes it has been told already; one that turns out to be firmware
		// is told as what it was not.
		if m.Why == machine.WhyFirmware {
			e.Kind = journal.Settling
		}
	case machine.Asleep:
		e.Kind = journal.Asleep
		if m.Why == machine.WhyAttemptsGone {
			e.Kind = journal.Failed
		}
	case machine.Arriving:
		e.Kind = journal.Arrived
	case machine.Awake:
		switch m.Why {
		case machine.WhyReady, machine.WhyNotReady:
			e.Kind = journal.Ready
		case machine.WhyStarted:
			e.Kind = journal.HandStart
		case machine.WhyAttemptsGone:
			e.Kind = journal.Failed
		default:
			e.Kind = journal.Awake
		}
	}
	return e
}

// Refused notes a registration that was turned down.
func (p *Porter) Refused(peer netip.AddrPort, mac machine.MAC, reason string) {
	p.journal.Append(journal.Record{Event: journal.Event{Kind: journal.Refused, At: time.Now(), Source: peer, MAC: mac, Reason: reason}})
}

// Events returns what happened after since, to the machine of that name or to
// all: the newest limit of it, oldest first.
func (p *Porter) Events(since uint64, name string, limit int) []journal.Event {
	return p.journal.Events(since, name, limit)
}

// Follow returns a channel that gets every event from now on, until ctx ends.
func (p *Porter) Follow(ctx context.Context) <-chan journal.Event { return p.journal.Follow(ctx) }

// Storage tells whether what happens can be stored.
func (p *Porter) Storage() journal.Health {
	if err := p.journal.Healthy(); err != nil {
		return journal.Health{Reason: err.Error()}
	}
	return journal.Health{Healthy: true}
}

// Resume takes in the machines that were here before. What happens from now on
// goes into the log.
func (p *Porter) Resume(b book, past journal.Past) {
	p.journal = b
	now := time.Now()
	sites := make(map[*nic]*site)
	for _, mem := range past.Machines {
		if mem.Spec.Agentless && mem.Registered.IsZero() {
			p.resumeAgentless(mem, past.Until)
			continue
		}
		s, err := p.siteFor(mem.Spec.Addrs(), sites)
		if err == nil {
			err = p.takeBack(mem, s, past.Until, now)
		}
		if err != nil {
			p.log.Warn("a machine from before the restart cannot be taken back", "machine", mem.Spec.Name, "mac", mem.Spec.MAC, "err", err)
		}
	}
	if n := len(past.Machines); n > 0 {
		p.log.Info("machines from before the restart", "machines", n, "last_seen", past.Seen)
	}
	p.attend()
}

// siteFor returns the site of a machine with these addresses. Each interface is
// looked at once.
func (p *Porter) siteFor(addrs []netip.Addr, known map[*nic]*site) (*site, error) {
	n, err := p.nicFor(addrs, netip.Addr{})
	if err != nil || known[n] != nil {
		return known[n], err
	}
	known[n], err = n.survey()
	return known[n], err
}

// takeBack goes on with one machine's life. What was allowed when it registered
// need not be so now: the network may be another.
func (p *Porter) takeBack(mem machine.Memory, s *site, until, now time.Time) error {
	spec, n := mem.Spec, s.nic
	if other := p.residents[spec.Name]; other != nil && other.Spec().MAC != spec.MAC {
		return fmt.Errorf("name: %q belongs to %s now", spec.Name, other.Spec().MAC)
	}
	if err := registration.CheckAddresses(spec.Monitor, s); err != nil {
		return err
	}
	r := p.byMAC[spec.MAC]
	var configured *machine.Spec
	if r != nil { // the configuration knows it
		configured = r.configured
		p.remove(r)
	}
	mem.Spec.Agentless = configured != nil && configured.Agentless
	r = p.settleIn(machine.Resume(mem, p.policy(), until, now))
	r.configured, r.nic = configured, n
	r.watch = newWatch(r, spec)
	p.timers.Set(r, r.Next())
	p.usher(now, r)
	n.stale = true
	p.logResumed(r, mem)
	if mem.Spec.Agentless {
		p.tell(r, machine.Entrusted{Agentless: true})
	}
	return nil
}

func (p *Porter) logResumed(r *resident, mem machine.Memory) {
	p.log.LogAttrs(context.Background(), slog.LevelInfo, "machine resumed", slog.Any("machine", r),
		slog.String("was", mem.State.String()), slog.Time("since", mem.Since), slog.String("state", r.State().String()))
}
