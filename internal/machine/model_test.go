package machine_test

import (
	"net/netip"
	"slices"
	"time"

	"pgregory.net/rapid"

	"nightporter/internal/machine"
)

// model follows the actions as the porter would carry them out, and knows what
// a bystander on the LAN knows.
type model struct {
	held      []netip.Addr // claimed, perhaps yielded
	kept      []netip.Addr // claimed, and clients may still send it to us
	answering bool         // for what is held
	spec      machine.Spec
	policy    machine.Policy
	lastHeard time.Time                // any frame, or a registration
	lastProof time.Time                // likewise, but for what a network card can send
	up        bool                     // it has spoken for an address since it was last silent
	magic     int                      // sent in this wake
	testing   map[netip.Addr]bool      // addresses the machine tests before it uses them
	telling   map[netip.Addr]time.Time // until when its return is announced
	conceded  map[netip.Addr]bool      // left to another host
	asked     map[netip.Addr]int       // questions to everybody since the last sign of that host
	askedAt   map[netip.Addr]time.Time
	born      time.Time
	asleepAt  time.Time
	asleepFor time.Duration // in all sleeps that have ended
	wanted    bool          // a wake was asked for while it settled
	slept     bool          // since it registered last, or was doubted
	entrusted bool          // to be watched while it is awake
	gone      bool
}

func (mo *model) apply(t *rapid.T, now time.Time, state machine.State, actions []machine.Action) {
	for _, a := range actions {
		switch a := a.(type) {
		case machine.Claim:
			mo.leftAlone(t, a.Addrs)
			if state == machine.Asleep {
				mo.claimedBeside(t, a.Addrs)
				continue
			}
			least := silence(mo.policy)
			if state != machine.Settling || mo.slept {
				least = max(least, 3*time.Second) // it may be testing its addresses
			}
			quiet := now.Sub(mo.lastHeard)
			if mo.policy.OverrideOffload {
				quiet = now.Sub(mo.lastProof)
			}
			if quiet < least {
				t.Fatalf("claimed only %v after the machine was heard", quiet)
			}
			mo.up, mo.slept = false, true
			clear(mo.testing)
			clear(mo.telling)
			mo.held, mo.answering = a.Addrs, true
			mo.kept = slices.Clone(a.Addrs)
		case machine.Yield:
			mo.answering = false
		case machine.Release:
			mo.held = slices.DeleteFunc(slices.Clone(mo.held), func(ip netip.Addr) bool { return slices.Contains(a.Addrs, ip) })
		case machine.Part:
			mo.parted(t, a.Addrs)
		case machine.ConflictSeen:
			mo.conceded[a.Addr] = true
		case machine.Ask:
			mo.ask(t, now, state, a.Addr)
		case machine.ConflictOver:
			mo.isOver(t, now, a.Addr)
		case machine.Announce:
			mo.leftAlone(t, a.Addrs)
			for _, ip := range a.Addrs {
				if mo.testing[ip] {
					t.Fatalf("announced %v while its machine tests it for duplicates", ip)
				}
				mo.telling[ip] = now.Add(7 * time.Second)
			}
		case machine.Hush:
			for _, ip := range a.Addrs {
				delete(mo.telling, ip)
			}
		case machine.WakeBegan:
			mo.magic = 0
		case machine.SendMagic:
			mo.magic++
			if state != machine.Awake && state != machine.Settling && mo.magic > mo.policy.WakeAttempts {
				t.Fatalf("magic packet %d of a wake that allows %d", mo.magic, mo.policy.WakeAttempts)
			}
		case machine.Moved:
			// A wake that was put off or begun anew after a firmware's frames
			// has its own budget only when it starts from sleep.
			if a.From == machine.Asleep && a.To == machine.Waking {
				mo.magic = 0
			}
			clear(mo.asked)
			mo.account(now, a)
		case machine.Forget:
			mo.gone = true
		}
	}
}

// behindCard: for a while the machine's network card answers each question that a
// card understands, and nothing else comes from it.
func (mo *model) behindCard(t *rapid.T, now *time.Time, m *machine.Machine) {
	for range rapid.IntRange(1, 40).Draw(t, "answers") {
		due := m.Next()
		if due.IsZero() {
			return
		}
		if due.After(*now) {
			*now = due
		}
		before := m.State()
		actions := m.Handle(*now, machine.Ticked{})
		mo.apply(t, *now, before, actions)
		mo.check(t, *now, m)
		for _, a := range actions {
			probe, ok := a.(machine.Probe)
			if !ok || mo.gone {
				continue
			}
			for _, ip := range probe.Addrs {
				mo.lastHeard = *now
				if !m.CardAnswers() {
					mo.testing[ip] = false
					mo.up = mo.up || mo.spec.Has(ip)
				}
				before := m.State()
				mo.apply(t, *now, before, m.Handle(*now, machine.Heard{Addr: ip, InUse: true, Answer: true}))
				mo.check(t, *now, m)
			}
		}
	}
}

// parted: an address is given up once, and not while it is held.
func (mo *model) parted(t *rapid.T, addrs []netip.Addr) {
	for _, ip := range addrs {
		i := slices.Index(mo.kept, ip)
		if i < 0 {
			t.Fatalf("parts with %v, which it did not keep", ip)
		}
		if slices.Contains(mo.held, ip) {
			t.Fatalf("parts with %v, and still holds it", ip)
		}
		mo.kept = slices.Delete(mo.kept, i, i+1)
	}
}

// leftAlone: nothing is said about an address that belongs to another host.
func (mo *model) leftAlone(t *rapid.T, addrs []netip.Addr) {
	for _, ip := range addrs {
		if mo.conceded[ip] {
			t.Fatalf("says who has %v, which was left to another host", ip)
		}
	}
}

// claimedBeside: a claim is added to only while the machine has not been heard
// since it fell asleep.
func (mo *model) claimedBeside(t *rapid.T, addrs []netip.Addr) {
	if mo.lastProof.After(mo.asleepAt) {
		t.Fatalf("claimed %v of a machine that was heard in its sleep", addrs)
	}
	for _, ip := range addrs {
		if slices.Contains(mo.held, ip) {
			t.Fatalf("claimed %v twice", ip)
		}
	}
	mo.held, mo.kept = slices.Concat(mo.held, addrs), slices.Concat(mo.kept, addrs)
}

// ask: only a machine that sleeps is asked for, and only where another host was.
func (mo *model) ask(t *rapid.T, now time.Time, state machine.State, ip netip.Addr) {
	if state != machine.Asleep || !mo.conceded[ip] {
		t.Fatalf("asks everybody for %v of a machine that is %v", ip, state)
	}
	mo.asked[ip]++
	mo.askedAt[ip] = now
}

// isOver: everybody was asked often enough, and had the time to answer.
func (mo *model) isOver(t *rapid.T, now time.Time, ip netip.Addr) {
	if n := mo.asked[ip]; n < mo.policy.ProbeMisses {
		t.Fatalf("takes %v after %d questions, want %d", ip, n, mo.policy.ProbeMisses)
	}
	if waited := now.Sub(mo.askedAt[ip]); waited < mo.policy.ProbeInterval {
		t.Fatalf("takes %v only %v after the last question", ip, waited)
	}
	delete(mo.conceded, ip)
	delete(mo.asked, ip)
}

// lookedAfter: an address that was left to another host is not left for ever.
func (mo *model) lookedAfter(t *rapid.T, now time.Time, m *machine.Machine) {
	if m.State() != machine.Asleep || len(mo.conceded) == 0 {
		return
	}
	if next := m.Next(); next.IsZero() || next.Sub(now) > 128*mo.policy.ProbeInterval {
		t.Fatalf("%v are asked for at %v, and it is %v", mo.conceded, next, now)
	}
}

// account keeps the time slept, and whether a wish was forgotten.
func (mo *model) account(now time.Time, a machine.Moved) {
	if a.From == machine.Asleep {
		mo.asleepFor += now.Sub(mo.asleepAt)
	}
	switch a.To {
	case machine.Asleep:
		mo.asleepAt = now
	case machine.Waking, machine.Awake:
		mo.wanted = false
	case machine.Settling:
		if a.Why == machine.WhyUnanswered {
			mo.slept = true // it may be starting
		}
	}
}

// checkDiary: what was slept is in the diary, on its day.
func (mo *model) checkDiary(t *rapid.T, now time.Time, s *machine.Status) {
	want := mo.asleepFor
	if s.State == machine.Asleep {
		want += now.Sub(mo.asleepAt)
	}
	var sum time.Duration
	for _, day := range s.SleptDays(now) {
		if sum += day.Slept; day.Slept < 0 || day.Slept > 24*time.Hour {
			t.Fatalf("slept %v on %s", day.Slept, day.Date)
		}
	}
	if sum > want || sum < want && want < 6*24*time.Hour && now.Sub(mo.born) < 6*24*time.Hour {
		t.Fatalf("slept %v by the diary, %v in truth", sum, want)
	}
}

func (mo *model) check(t *rapid.T, now time.Time, m *machine.Machine) {
	state := m.State()
	if status := m.Status(); status.Tally.Slept != mo.asleepFor {
		t.Fatalf("slept %v by the tally, %v in truth", status.Tally.Slept, mo.asleepFor)
	} else {
		mo.checkDiary(t, now, &status)
	}
	if mo.wanted && state == machine.Asleep {
		t.Fatal("asleep, although a wake was asked for while it settled")
	}
	if under := m.LastWake().Outcome == machine.UnderWay; state == machine.Waking && !under || state == machine.Awake && under && !m.Attended() {
		t.Fatalf("the last wake is %v, and the machine %v", m.LastWake().Outcome, state)
	}
	mo.lookedAfter(t, now, m)
	if state != machine.Awake && state != machine.Asleep && m.Next().IsZero() {
		t.Fatalf("nothing is due while %v", state)
	}
	if mo.entrusted && state == machine.Awake && (m.Next().IsZero() || !m.Attended()) {
		t.Fatal("nobody looks after an agentless machine")
	}
	for ip, until := range mo.telling {
		if !now.Before(until) || !mo.spec.Has(ip) {
			continue
		}
		if mo.testing[ip] {
			t.Fatalf("still announcing %v while its machine tests it for duplicates", ip)
		}
		if !m.Watched() {
			t.Fatalf("announcing %v without watching whether its machine tests it", ip)
		}
	}
	if mo.answering && len(mo.held) > 0 {
		if mo.up {
			t.Fatal("answering for a machine that is known to be up")
		}
		if state != machine.Asleep && state != machine.Waking {
			t.Fatalf("answering for a machine that is %v", state)
		}
	}
	if len(mo.held) > 0 && (state == machine.Awake || state == machine.Settling) {
		t.Fatalf("a claim outlived the sleep: %v while %v", mo.held, state)
	}
	if m.Kept() != (len(mo.kept) > 0) {
		t.Fatalf("keeps an address: %v, want %v", m.Kept(), mo.kept)
	}
	if len(mo.kept) > 0 && !m.Watched() {
		t.Fatalf("%v are kept for ever", mo.kept)
	}
	for _, ip := range mo.held {
		if !slices.Contains(mo.kept, ip) {
			t.Fatalf("holding %v without keeping it", ip)
		}
		if !mo.spec.Has(ip) {
			t.Fatalf("holding %v, which is not the machine's", ip)
		}
	}
}
