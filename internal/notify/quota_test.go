package notify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"nightporter/internal/journal"
	"nightporter/internal/notifyconf"
)

func conflict(name, by string) journal.Event {
	return journal.Event{Kind: journal.Conflict, Machine: name, By: by}
}

// TestAttackNoiseSilencesAlarm: a host has many messages sent, by forged ARP for many
// machines, by refused registrations or by machines of its own that do not wake. A
// failed wake of another machine still gets a message at once.
func TestAttackNoiseSilencesAlarm(t *testing.T) {
	for name, noise := range map[string]func(i int) journal.Event{
		"conflicts of one sender":     func(i int) journal.Event { return conflict(fmt.Sprint("m", i), "02:00:00:00:00:66") },
		"conflicts of many senders":   func(i int) journal.Event { return conflict(fmt.Sprint("m", i), fmt.Sprint("02:00:00:00:00:", i)) },
		"conflicts of one machine":    func(i int) journal.Event { return conflict("m", fmt.Sprint("02:00:00:00:00:", i)) },
		"refused registrations":       func(int) journal.Event { return journal.Event{Kind: journal.Refused, Reason: "no"} },
		"wakes of one machine":        func(int) journal.Event { return failure("evil") },
		"machines that are elsewhere": func(i int) journal.Event { return journal.Event{Kind: journal.Elsewhere, Machine: fmt.Sprint("m", i)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := settings(12, "a")
				s.Events = []journal.Kind{journal.Failed, journal.Conflict, journal.Elsewhere, journal.Refused}
				k := newFixture(t, &fakeJournal{room: 64}, s).run()
				synctest.Wait()
				for i := range 40 {
					k.journal.add(noise(i))
					synctest.Wait()
				}
				noisy := len(k.inbox(target("a")).texts())
				if noisy > 6 {
					t.Errorf("%d messages of noise", noisy)
				}
				for i := range 3 {
					k.journal.add(failure(fmt.Sprint("nas", i)))
					synctest.Wait()
				}
				texts := k.inbox(target("a")).texts()
				for i := range 3 {
					if n := len(texts); n != noisy+3 || !strings.HasPrefix(texts[noisy+i], fmt.Sprintf("nas%d did not wake", i)) {
						t.Fatalf("of %d messages the last are %q", n, texts[noisy:])
					}
				}
				time.Sleep(2 * time.Hour) // nothing is sent twice
				if n := len(k.inbox(target("a")).texts()); n != noisy+3 {
					t.Errorf("%d messages in the end", n)
				}
				k.end()
			})
		})
	}
}

// Conflicts with one host, and those of one machine, are one message, and a summary later.
func TestConflictsAreOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFixture(t, &fakeJournal{room: 64}, settings(60, "a")).run()
		synctest.Wait()
		for i := range 5 {
			k.journal.add(conflict(fmt.Sprint("m", i), "one"), conflict("nas", fmt.Sprint("other", i)))
			synctest.Wait()
			time.Sleep(time.Minute)
		}
		k.wantTexts("a", "Another host (one) uses", "Another host (other0) uses")
		time.Sleep(time.Hour)
		k.wantTexts("a", "Another host (one) uses", "Another host (other0) uses", "More events than notify.rate allows: 8 conflict (m1, nas, m2, m3, m4).")
		k.wantCounts(3, 0, 8)
		k.end()
	})
}

// The parts of a rate, as the documentation says.
func TestShare(t *testing.T) {
	usual := []journal.Kind{journal.Failed, journal.Conflict, journal.Elsewhere}
	for _, c := range []struct {
		rate   int
		kinds  []journal.Kind
		kind   journal.Kind
		others int
		want   int
	}{
		{12, usual, journal.Failed, 0, 12}, {12, usual, journal.Failed, 6, 6}, {12, usual, journal.Failed, 9, 6}, {12, usual, journal.Conflict, 0, 3},
		{1, usual, journal.Failed, 2, 1}, {1, usual, journal.Conflict, 0, 1}, {60, notifyconf.Kinds(), journal.Ready, 0, 2}, {12, notifyconf.Kinds(), journal.Ready, 0, 1},
		{12, []journal.Kind{journal.Conflict}, journal.Conflict, 0, 12}, {12, []journal.Kind{journal.Failed}, journal.Failed, 0, 12},
	} {
		s := quota{rate: c.rate, kinds: c.kinds}
		for range c.others {
			s.sent = append(s.sent, sentMessage{kind: journal.Conflict})
		}
		if got := s.share(c.kind); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestRateIsUsedUp: one kind of event after the other uses the whole rate. Each other kind still
// gets one message, and no more, but failed wakes get half of the rate.
func TestRateIsUsedUp(t *testing.T) {
	const failed, refused, ready = journal.Failed, journal.Refused, journal.Ready
	few := []journal.Kind{failed, refused, ready}
	many := append(slices.Clone(few), journal.Asleep, journal.Conflict, journal.Elsewhere)
	for _, c := range []struct {
		name         string
		rate         int
		kinds, order []journal.Kind
		want         map[journal.Kind]int
	}{
		{"failed wakes first", 12, few, few, map[journal.Kind]int{failed: 12, refused: 1, ready: 1}},
		{"failed wakes last", 12, few, []journal.Kind{refused, ready, failed}, map[journal.Kind]int{failed: 6, refused: 3, ready: 3}},
		{"more kinds than the rate", 4, many, append(slices.Clone(many[1:]), failed), map[journal.Kind]int{failed: 2, refused: 1, ready: 1, journal.Asleep: 1, journal.Conflict: 1, journal.Elsewhere: 1}},
	} {
		q, got := quota{rate: c.rate, kinds: c.kinds}, map[journal.Kind]int{}
		for _, kind := range c.order {
			for i := range 20 {
				if q.take(atNight, journal.Event{Kind: kind, Machine: fmt.Sprint(i)}) {
					got[kind]++
				}
			}
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: messages: %v, want %v", c.name, got, c.want)
		}
	}
}

// No hour has more messages than the rate and one of each kind, memory is bounded, and a machine
// whose wakes failed seldom gets its message.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds := rapid.SliceOfNDistinct(rapid.SampledFrom(notifyconf.Kinds()), 1, len(notifyconf.Kinds()), rapid.ID[journal.Kind]).Draw(t, "kinds")
		s := quota{rate: rapid.IntRange(1, 60).Draw(t, "rate"), kinds: kinds}
		now := atNight
		var sent []time.Time
		for range rapid.IntRange(1, 300).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			e := journal.Event{Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Machine: fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "machine")), By: fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "by"))}
			if s.take(now, e) {
				sent = append(sent, now)
			} else if opens := s.nextFree(); !opens.After(now) || opens.Sub(now) > span {
				t.Fatalf("no room at %v, and it opens at %v", now, opens)
			}
			for len(sent) > 0 && now.Sub(sent[0]) >= span {
				sent = sent[1:]
			}
			if len(sent) > s.rate+len(kinds) || len(s.sent) != len(sent) {
				t.Fatalf("%d messages within an hour, %d are kept, with a rate of %d and %d kinds", len(sent), len(s.sent), s.rate, len(kinds))
			}
		}
	})
}
