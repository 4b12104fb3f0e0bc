package machine_test

import (
	"net/netip"
	"time"

	"nightporter/internal/machine"
)

// reaction is how a machine takes a question.
type reaction func(machine.Probe) []machine.Event

// unanswered is the reaction of a machine that is off.
func unanswered(machine.Probe) []machine.Event { return nil }

// running answers all it is asked.
func running(p machine.Probe) []machine.Event {
	es := onlyCard(p)
	for _, ip := range p.Addrs {
		if p.System {
			proof := machine.ByEcho
			if ip == ip4 {
				proof = machine.BySystem
			}
			es = append(es, machine.Answered{Addr: ip, Proof: proof})
		}
	}
	return es
}

// onlyCard is a machine whose network card answers while it sleeps.
func onlyCard(p machine.Probe) (es []machine.Event) {
	for _, ip := range p.Addrs {
		if ip == ip4 || ip == ip6 {
			es = append(es, machine.Answered{Addr: ip})
		}
	}
	return es
}

// firmware is a machine whose management firmware answers while it sleeps.
func firmware(p machine.Probe) []machine.Event {
	es := onlyCard(p)
	if p.System {
		for _, ip := range p.Addrs {
			es = append(es, machine.Answered{Addr: ip, Proof: machine.ByEcho})
		}
	}
	return es
}

// at is a machine that is up at one address alone.
func at(up netip.Addr) reaction {
	return func(p machine.Probe) (es []machine.Event) {
		for _, ip := range p.Addrs {
			if ip == up {
				es = append(es, machine.Answered{Addr: ip, Proof: machine.BySystem})
			}
		}
		return es
	}
}

// cut is our own link that is out: no question can be sent.
func cut(machine.Probe) []machine.Event { return []machine.Event{machine.ProbeFailed{}} }

// as lets time go by, delivers every tick when it is due, and answers each
// question as the machine does.
func (l *life) as(react reaction, d time.Duration) *life {
	l.t.Helper()
	end := l.now.Add(d)
	for n := 0; ; n++ {
		due := l.m.Next()
		if due.IsZero() || due.After(end) || l.gone {
			break
		}
		if n > 10_000_000 {
			l.t.Fatal("ticks do not advance the time")
		}
		if due.After(l.now) {
			l.now = due
		}
		actions := l.m.Handle(l.now, machine.Ticked{})
		l.log = append(l.log, actions...)
		for _, a := range actions {
			switch a := a.(type) {
			case machine.Probe:
				l.event(react(a)...)
			case machine.Forget:
				l.gone = true
			}
		}
	}
	l.now = end
	return l
}
