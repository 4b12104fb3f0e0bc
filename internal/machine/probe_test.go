package machine_test

import (
	"fmt"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// booted is a machine that sleeps, and took so long for its last boot; with 0 it was
// never woken.
func booted(t *testing.T, boot time.Duration) *life {
	l := asleep(t, nil)
	if boot == 0 {
		return l
	}
	l.event(knockSSH).pass(boot).event(answer(ip4), ready).want(machine.Awake)
	return l.event(registered).pass(3 * s).want(machine.Asleep).forget()
}

// TestAttackOneKnockMakesFewQuestions: a host sends one forged SYN for a machine that
// cannot boot. The questions to its MAC, which a switch floods to all ports, are to be few,
// whatever it is known to take.
func TestAttackOneKnockMakesFewQuestions(t *testing.T) {
	for boot, want := range map[time.Duration]struct{ soon, late int }{
		0: {750, 1700}, 2 * s: {950, 1850}, 8 * s: {1100, 1900}, 30 * s: {750, 1800},
	} {
		t.Run(boot.String(), func(t *testing.T) {
			l := booted(t, boot)
			l.event(knockSSH).pass(14 * s).want(machine.Waking)
			soon := len(actions[machine.Probe](l))
			l.pass(30 * s).want(machine.Waking)
			if late := len(actions[machine.Probe](l)); soon > want.soon || late > want.late {
				t.Errorf("%d questions in 14 s and %d in 44 s, want %d and %d at most", soon, late, want.soon, want.late)
			}
		})
	}
}

// TestAttackForgedFramesMakeFewQuestions: it also sends a frame with the machine's MAC
// now and then, as firmware does.
func TestAttackForgedFramesMakeFewQuestions(t *testing.T) {
	l := asleep(t, nil).event(knockSSH)
	for range 4 {
		l.pass(3 * s).event(frame)
	}
	l.pass(2 * s).want(machine.Waking)
	if n := len(actions[machine.Probe](l)); n > 1500 {
		t.Errorf("%d questions in 14 s for four frames", n)
	}
}

// TestAttackArrivalWithoutAService: the knock is for a machine of the attacker's own,
// which is up and never opens its port.
func TestAttackArrivalWithoutAService(t *testing.T) {
	l := asleep(t, nil).event(knockSSH).pass(s).event(answer(ip4)).want(machine.Arriving).forget()
	l.as(at(ip4), 59*s).want(machine.Arriving)
	if n := len(actions[machine.Probe](l)); n > 620 {
		t.Errorf("%d questions in 59 s to a machine that answers", n)
	}
	// One whose address is not there yet is asked as before: a ping waits for it.
	l = asleep(t, nil).event(knockSSH).pass(s).event(tests(ip4)).want(machine.Arriving).forget()
	l.pass(s)
	if n := len(actions[machine.Probe](l)); n < 150 {
		t.Errorf("%d questions in a second to a machine that tests its address", n)
	}
}

// TestABootIsNoticedInTime: within 21 ms, as long as nothing is known of the machine, and
// within 6 ms of a boot as it was before, or of a frame.
func TestABootIsNoticedInTime(t *testing.T) {
	for _, boot := range []time.Duration{700 * time.Millisecond, 3 * s, 12 * s, 28 * s} {
		for _, c := range []struct {
			name string
			life func(*testing.T) *life
			take time.Duration
			late time.Duration
		}{
			{"unknown", func(t *testing.T) *life { return booted(t, 0) }, boot, max(boot/700, 21*time.Millisecond)},
			{"the same again", func(t *testing.T) *life { return booted(t, boot) }, boot, max(boot/700, 6*time.Millisecond)},
			{"a fifth faster", func(t *testing.T) *life { return booted(t, boot) }, boot * 4 / 5, max(boot/700, 6*time.Millisecond)},
			{"a fifth slower", func(t *testing.T) *life { return booted(t, boot) }, boot * 6 / 5, max(boot/600, 6*time.Millisecond)},
			{"much faster", func(t *testing.T) *life { return booted(t, boot) }, boot / 2, max(boot/700, 21*time.Millisecond)},
			{"much slower", func(t *testing.T) *life { return booted(t, boot) }, boot * 3 / 2, max(boot/500, 21*time.Millisecond)},
		} {
			t.Run(fmt.Sprintf("%v/%s", boot, c.name), func(t *testing.T) {
				l := c.life(t).event(knockSSH)
				began := l.now
				l.pass(c.take + 3*time.Millisecond).want(machine.Waking)
				up := l.now
				for l.m.State() == machine.Waking && l.now.Sub(up) < s {
					l.as(running, time.Millisecond)
				}
				if late := l.now.Sub(up); late > c.late {
					t.Errorf("noticed %v late, %v after the knock; want %v at most", late, l.now.Sub(began), c.late)
				}
			})
		}
	}
	// It spoke, half a second before its network was up.
	l := asleep(t, nil).event(knockSSH).pass(20 * s).event(frame).pass(500 * time.Millisecond).want(machine.Waking)
	if l.as(running, 25*time.Millisecond); l.m.State() != machine.Arriving {
		t.Errorf("25 ms after it is up it is %v", l.m.State())
	}
}
