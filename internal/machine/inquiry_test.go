package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

func (l *life) inquiry(want machine.Inquiry) *life {
	l.t.Helper()
	if got := l.m.Status().Inquiry; got != want {
		l.t.Errorf("inquiry %q, want %q", got, want)
	}
	return l
}

// TestAWakeAsksAMachineThatCountsAsAwake at once, whether it is watched or not.
func TestAWakeAsksAMachineThatCountsAsAwake(t *testing.T) {
	for name, l := range map[string]func() *life{
		"watched":      func() *life { return asleep(t, nil).event(uses(ip4)).up(time.Minute) },
		"unwatched":    func() *life { return asleep(t, unwatched).event(uses(ip4)).up(time.Hour) },
		"agentless":    func() *life { return agentless(t, nil).up(time.Minute) },
		"after a wake": func() *life { return arriving(t, nil).event(ready).up(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			off := l().inquiry(machine.NoInquiry).want(machine.Awake).forget().event(wakeAsked).inquiry(machine.InquiryOpen)
			off.event(machine.Ticked{})
			if asked := actions[machine.Probe](off); len(asked) != 1 {
				t.Errorf("%d questions at once, want 1", len(asked))
			}
			off.pass(20 * s).want(machine.Waking).inquiry(machine.NoInquiry)
			on := l().forget().event(wakeAsked).up(10 * s).want(machine.Awake).inquiry(machine.InquiryAnswered)
			on.unmoved()
			on.event(wakeAsked).inquiry(machine.InquiryOpen).up(s).inquiry(machine.InquiryAnswered)
			on.event(registered).inquiry(machine.NoInquiry).pass(5 * s).want(machine.Asleep)
		})
	}
}

// unmoved: it left no state.
func (l *life) unmoved() {
	l.t.Helper()
	if moves := actions[machine.Moved](l); len(moves) != 0 {
		l.t.Errorf("moved %+v", moves)
	}
}

// TestAWakeCannotAskEveryMachine: that one is silent which was never here says nothing.
func TestAWakeCannotAskEveryMachine(t *testing.T) {
	never := newLife(t, nil).event(wakeAsked).inquiry(machine.NoInquiry).pass(time.Hour).want(machine.Awake)
	if asked := actions[machine.Probe](never); len(asked) != 0 {
		t.Errorf("asked %+v", asked)
	}
	agentless(t, nil).event(waits(ip4), waits(ip6), wakeAsked).inquiry(machine.NoInquiry).pass(time.Hour).want(machine.Awake)
}

// TestAnInquiryEnds with the registration of a machine that is up, a pause, and a change
// of its care. A reload does not end it.
func TestAnInquiryEnds(t *testing.T) {
	open := func() *life {
		return asleep(t, unwatched).event(uses(ip4)).up(time.Hour).event(wakeAsked).inquiry(machine.InquiryOpen)
	}
	open().event(isHere).inquiry(machine.InquiryAnswered).pass(20 * s).want(machine.Asleep)
	open().event(machine.PauseRequested{Until: open().now.Add(time.Minute)}).inquiry(machine.NoInquiry)
	open().event(machine.Configured{Unwatched: true}).inquiry(machine.NoInquiry)
	open().event(machine.Configured{}).inquiry(machine.InquiryOpen).pass(20 * s).want(machine.Waking)
	p := policy()
	unwatched(&p)
	open().event(machine.PolicyChanged{Policy: p}).inquiry(machine.InquiryOpen).pass(20 * s).want(machine.Waking)
	l := asleep(t, unwatched).event(uses(ip4)).up(time.Hour)
	l.event(machine.ReceptionLost{Until: l.now.Add(5 * s)}, wakeAsked).pass(30 * s).want(machine.Waking)
}

// TestAnInquiryOfAMachineWhoseCardMayAnswer begins without a suspicion.
func TestAnInquiryOfAMachineWhoseCardMayAnswer(t *testing.T) {
	l := asleep(t, func(p *machine.Policy) { unwatched(p); p.OverrideOffload = true }).event(uses(ip4)).up(time.Hour)
	l.event(wakeAsked, machine.Ticked{}, answer(ip4)).inquiry(machine.InquiryAnswered)
}

// TestAnInquiryDoesNotForget a machine that was not heard for long.
func TestAnInquiryDoesNotForget(t *testing.T) {
	l := asleep(t, unwatched).event(uses(ip4)).up(time.Minute)
	l.now = l.now.Add(91 * 24 * time.Hour)
	if l.event(wakeAsked).pass(20 * s).want(machine.Waking); l.gone {
		t.Error("it was forgotten")
	}
}
