package journal

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

// EventsOf returns the events for the actions of a machine, without time, name and MAC.
// Events that end a wake have the cause of the wake.
func EventsOf(actions []machine.Action, wake *machine.LastWake) []Event {
	var events []Event
	for _, a := range actions {
		if e := eventOf(a, actions, wake); e.Kind != "" {
			events = append(events, e)
		}
	}
	return events
}

// eventOf returns the event for one action, or the zero Event. The actions beside it
// have the details of a transition.
func eventOf(a machine.Action, beside []machine.Action, wake *machine.LastWake) Event {
	switch a := a.(type) {
	case machine.WakeBegan:
		if a.Repeated {
			return Event{}
		}
		e := Event{Kind: Asked, Test: a.Test}
		if a.Service.Addr.IsValid() {
			e.Kind = Knock
		}
		setCause(&e, a.Trigger, a.Service, a.Source, a.By)
		return e
	case machine.MagicRequested:
		return Event{Kind: Asked, Trigger: a.Trigger.String(), By: a.By, Reason: magicReasons[a.State]}
	case machine.SendMagic:
		if !a.Repeated && !a.Again && !magicRequested(beside) {
			return Event{Kind: Magic, Attempts: a.Attempt}
		}
	case machine.ConflictSeen:
		e := Event{Kind: Conflict, IP: a.Addr, By: a.By.String()}
		if a.Undefended {
			e.Reason = "not defended, because the machine does not wake"
		}
		return e
	case machine.ConflictOver:
		return Event{Kind: ConflictOver, IP: a.Addr}
	case machine.AddressWaits:
		if a.Reason == "" {
			return Event{Kind: Proved, IP: a.Addr}
		}
		return Event{Kind: Waiting, IP: a.Addr, Reason: a.Reason}
	case machine.WatchBegan:
		return Event{Kind: Registered, Reason: "here, to be watched"}
	case machine.Elsewhere:
		return Event{Kind: Elsewhere, IP: a.Addr}
	case machine.ServiceReady:
		return Event{Kind: ServiceReady, Service: a.Service.String(), Ready: a.After, Test: true}
	case machine.PauseBegan:
		return Event{Kind: Paused, Until: a.Until, By: a.By, Slept: sleptBefore(beside)}
	case machine.PauseEnded:
		return Event{Kind: Resumed, By: a.By}
	case machine.Deferred:
		return Event{Kind: Registered, Reason: "taken, and waits for the end of the pause", Until: a.Until}
	case machine.Moved:
		if !a.Repeated {
			return eventOfMove(a, beside, wake)
		}
	}
	return Event{}
}

// magicReasons are the reasons of a requested wake that only sends a magic packet.
var magicReasons = map[machine.State]string{
	machine.Awake: "while it counts as awake", machine.Settling: "while it settles",
}

// magicRequested reports whether an event for the request covers the magic packet.
func magicRequested(beside []machine.Action) bool {
	return slices.ContainsFunc(beside, func(a machine.Action) bool {
		_, is := a.(machine.MagicRequested)
		return is
	})
}

// sleptBefore returns the sleep that a transition ended, or 0.
func sleptBefore(actions []machine.Action) time.Duration {
	for _, a := range actions {
		if m, ok := a.(machine.Moved); ok && m.From == machine.Asleep {
			return m.After
		}
	}
	return 0
}

// setCause sets the cause of a wake in e.
func setCause(e *Event, t machine.Trigger, s machine.Service, source netip.AddrPort, by string) {
	e.Trigger, e.By = t.String(), by
	if s.Addr.IsValid() {
		e.Source, e.Service = source, s.String()
	}
}

func eventOfMove(m machine.Moved, beside []machine.Action, wake *machine.LastWake) Event {
	e := Event{Kind: kindOfMove(m), Reason: string(m.Why)}
	if m.From == machine.Asleep {
		e.Slept = m.After
	}
	for _, b := range beside {
		switch b := b.(type) {
		case machine.WakeEnded:
			e.Boot, e.Test = b.Boot, b.Test
			if !b.Unready {
				e.Ready = b.Ready
			}
		case machine.WakeFailed:
			e.Attempts, e.Test = b.Attempts, b.Test
		case machine.LeftUnready:
			e.NotReady = machine.Names(b.Services)
			continue
		default:
			continue
		}
		setCause(&e, wake.Trigger, wake.Service, wake.Source, wake.By)
	}
	return e
}

func kindOfMove(m machine.Moved) Kind {
	switch m.To {
	case machine.Settling:
		if m.Why == machine.WhyRegistered {
			return Registered
		}
		return Settling
	case machine.Waking:
		// The wake's cause was already recorded; firmware that fell silent again is
		// recorded as Settling.
		if m.Why == machine.WhyFirmware {
			return Settling
		}
		return ""
	case machine.Asleep:
		if m.Why == machine.WhyAttemptsGone {
			return Failed
		}
		return Asleep
	case machine.Arriving:
		return Arrived
	}
	switch m.Why {
	case machine.WhyReady, machine.WhyNotReady:
		return Ready
	case machine.WhyStarted:
		return ExternalStart
	case machine.WhyAttemptsGone:
		return Failed
	case machine.WhyPaused:
		return "" // the event of PauseBegan covers it
	}
	return Awake
}
