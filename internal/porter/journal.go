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

// eventLog is the part of *journal.Journal that the porter uses.
type eventLog interface {
	Append(journal.Record) (seq uint64)
	Sync(context.Context) error
	Healthy() error
	Events(since uint64, machine string, limit int) []journal.Event
	Follow(context.Context) <-chan journal.Event
}

// note puts what an event led to into the journal, which waits for no disk. The
// machine's memory goes with the last of it.
func (p *Porter) note(r *entry, actions []machine.Action) {
	var events []journal.Event
	wake := r.LastWake()
	for _, a := range actions {
		if e := eventOf(a, actions, &wake); e.Kind != "" {
			e.At, e.Machine, e.MAC = time.Now(), r.name(), r.Spec().MAC
			events = append(events, e)
		}
	}
	for i, e := range events {
		record := journal.Record{Event: e}
		if i == len(events)-1 {
			p.remember(r, &record)
		}
		p.journal.Append(record)
	}
}

// remember has record carry what a restart has to know of the machine.
func (p *Porter) remember(r *entry, record *journal.Record) {
	mac := r.Spec().MAC
	if p.byMAC[mac] != r || r.nic == nil && !r.Spec().Agentless {
		record.Forgotten = mac // it would have to register again
		return
	}
	mem := r.Memory()
	record.Memory = &mem
}

// eventOf returns the event for an action, or none. What belongs to a transition
// stands in the actions beside it; what ends a wake also says who caused it.
func eventOf(a machine.Action, beside []machine.Action, wake *machine.LastWake) journal.Event {
	switch a := a.(type) {
	case machine.WakeBegan:
		e := journal.Event{Kind: journal.Asked}
		if a.Service.Addr.IsValid() {
			e.Kind = journal.Knock
		}
		setCause(&e, a.Trigger, a.Service, a.Source, a.By)
		return e
	case machine.SendMagic:
		return journal.Event{Kind: journal.Magic, Attempts: a.Attempt}
	case machine.ConflictSeen:
		return journal.Event{Kind: journal.Conflict, IP: a.Addr, By: a.By.String()}
	case machine.ConflictOver:
		return journal.Event{Kind: journal.ConflictOver, IP: a.Addr}
	case machine.Moved:
		e := eventOfMove(a)
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
			setCause(&e, wake.Trigger, wake.Service, wake.Source, wake.By)
		}
		return e
	}
	return journal.Event{}
}

// setCause has e say why a machine is woken.
func setCause(e *journal.Event, t machine.Trigger, s machine.Service, source netip.AddrPort, by string) {
	e.Trigger, e.By = t.String(), by
	if s.Addr.IsValid() {
		e.Source, e.Service = source, s.String()
	}
}

func eventOfMove(m machine.Moved) journal.Event {
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
		// The wake's cause was already recorded; firmware that fell silent again
		// is recorded as Settling.
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

// Storage returns whether what happens can be stored.
func (p *Porter) Storage() journal.Health {
	if err := p.journal.Healthy(); err != nil {
		return journal.Health{Reason: err.Error()}
	}
	return journal.Health{Healthy: true}
}

// Resume adds the machines that were here before, and restores what they did. What
// happens from now on goes into events.
func (p *Porter) Resume(events eventLog, past journal.Past) {
	p.journal = events
	now := time.Now()
	views := make(map[*nic]*netView)
	for _, mem := range past.Machines {
		if mem.Spec.Agentless && mem.Registered.IsZero() {
			p.resumeAgentless(mem, past.Until)
			continue
		}
		s, err := p.netViewFor(mem.Spec.Addrs(), views)
		if err == nil {
			err = p.resumeRegistered(mem, s, past.Until, now)
		}
		if err != nil {
			p.log.Warn("a machine from before the restart cannot be taken back", "machine", mem.Spec.Name, "mac", mem.Spec.MAC, "err", err)
		}
	}
	if n := len(past.Machines); n > 0 {
		p.log.Info("machines from before the restart", "machines", n, "last_seen", past.Seen)
	}
	p.placeAgentless()
}

// resumeRegistered goes on with the life of a machine that had registered. What was
// allowed then need not be so now: the network may be another.
func (p *Porter) resumeRegistered(mem machine.Memory, s *netView, until, now time.Time) error {
	spec, n := mem.Spec, s.nic
	if other := p.machines[spec.Name]; other != nil && other.Spec().MAC != spec.MAC {
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
	r = p.insert(machine.Resume(mem, p.policy(), until, now))
	r.configured, r.nic = configured, n
	r.target = r.newTarget(spec)
	p.timers.Set(r, r.Next())
	p.syncHold(now, r)
	n.stale = true
	p.logResumed(r, mem)
	if mem.Spec.Agentless {
		p.tell(r, machine.Entrusted{Agentless: true})
	}
	return nil
}

func (p *Porter) logResumed(r *entry, mem machine.Memory) {
	p.log.LogAttrs(context.Background(), slog.LevelInfo, "machine resumed", slog.Any("machine", r),
		slog.String("was", mem.State.String()), slog.Time("since", mem.Since), slog.String("state", r.State().String()))
}
