package notify

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nightporter/internal/journal"
)

// wantTexts compares the beginnings of what a target got.
func (k *fixture) wantTexts(name string, beginnings ...string) {
	k.t.Helper()
	got := k.inbox(target(name)).texts()
	if len(got) != len(beginnings) {
		k.t.Fatalf("%s got %q, want %q", name, got, beginnings)
	}
	for i, b := range beginnings {
		if !strings.HasPrefix(got[i], b) {
			k.t.Errorf("message %d to %s is %q, want %q...", i, name, got[i], b)
		}
	}
}

// Each target gets a message about each event of a configured kind, once.
func TestSendsToEveryTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFixture(t, &fakeJournal{room: 64}, settings(12, "a", "b")).run()
		synctest.Wait()
		k.journal.add(knock("nas"))
		time.Sleep(90 * time.Second)
		test := failure("tested")
		test.Test = true // its result is shown to the user who runs it
		k.journal.add(journal.Event{Kind: journal.Magic, Machine: "nas"}, test, failure("nas"), journal.Event{Kind: journal.Refused})
		synctest.Wait()
		for _, name := range []string{"a", "b"} {
			k.wantTexts(name, "nas did not wake: no answer to 6 rounds of magic packets, the first 1m30s ago. 192.0.2.9 knocked at 192.0.2.5:22/tcp at ")
		}
		k.wantCounts(2, 0, 0)
		k.end()
	})
}

// Events before a restart get no message; events while the daemon starts do.
func TestOldEventsAreNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeJournal{room: 64}
		d.add(failure("old"))
		k := newFixture(t, d, settings(12, "a"))
		d.add(failure("new"))
		k.run()
		synctest.Wait()
		k.wantTexts("a", "new did not wake")
		k.end()
	})
}

// A follower without room misses events; each still gets one message.
func TestMissesNoEvent(t *testing.T) {
	for _, room := range []int{1, 2, 64} {
		synctest.Test(t, func(t *testing.T) {
			k := newFixture(t, &fakeJournal{room: room}, settings(60, "a")).run()
			synctest.Wait()
			var want []string
			for i := range 40 {
				name := fmt.Sprintf("m%d ", i)
				want = append(want, name+"did not")
			}
			for i := 0; i < 40; i += 10 {
				var burst []journal.Event
				for j := range 10 {
					burst = append(burst, failure(fmt.Sprintf("m%d", i+j)))
				}
				k.journal.add(burst...)
				synctest.Wait()
			}
			k.wantTexts("a", want...)
			k.end()
		})
	}
}

// The same holds for an event that was left out for another reason.
func TestFillsGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFixture(t, &fakeJournal{room: 64}, settings(60, "a")).run()
		synctest.Wait()
		k.journal.mute = true
		k.journal.add(failure("m0"))
		k.journal.mute = false
		k.journal.add(failure("m1"))
		synctest.Wait()
		k.wantTexts("a", "m0 ", "m1 ")
		k.end()
	})
}

// Events that the journal dropped before they were read are logged.
func TestLostEventsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFixture(t, &fakeJournal{room: 1, keeps: 3}, settings(60, "a"))
		k.journal.add(failure("1"), failure("2"), failure("3"), failure("4"), failure("5"))
		k.run()
		synctest.Wait()
		if s := k.log.String(); !strings.Contains(s, "events lost before notification") || !strings.Contains(s, "forgotten=2") {
			t.Errorf("the log says\n%s", s)
		}
		k.wantTexts("a", "3 ", "4 ", "5 ")
		k.end()
	})
}

// No hour has more messages than the rate. Suppressed events are summarized in the next message,
// or in one of their own as soon as the rate allows one.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFixture(t, &fakeJournal{room: 64}, settings(2, "a")).run()
		synctest.Wait()
		began := time.Now()
		for i := range 14 {
			k.journal.add(failure(fmt.Sprintf("m%d", i)))
			synctest.Wait()
			time.Sleep(time.Minute)
		}
		k.journal.add(journal.Event{Kind: journal.Refused})
		synctest.Wait()
		k.wantTexts("a", "m0 ", "m1 ")
		k.wantCounts(2, 0, 12)
		time.Sleep(time.Hour - 14*time.Minute + time.Second) // past the first hour
		synctest.Wait()
		k.wantTexts("a", "m0 ", "m1 ",
			"More events than notify.rate allows: 12 failed (m2, m3, m4, m5, m6, m7, m8, m9, and others). To list all events: nightporter events")
		if at := k.inbox(target("a")).at[2].Sub(began); at != time.Hour {
			t.Errorf("sent after %v, want an hour", at)
		}
		// The second slot opens a minute later; nothing was left out since.
		time.Sleep(30 * time.Minute)
		k.journal.add(failure("late"))
		synctest.Wait()
		k.wantCounts(4, 0, 12)
		if texts := k.inbox(target("a")).texts(); strings.Contains(texts[3], "notify.rate") {
			t.Errorf("sent again: %q", texts[3])
		}
		k.end()
	})
}

// After the rate was raised, the next message has the summary.
func TestLeftOutIsInTheNextMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFixture(t, &fakeJournal{room: 64}, settings(1, "a")).run()
		synctest.Wait()
		k.journal.add(failure("m0"), failure("m1"))
		synctest.Wait()
		k.Configure(settings(3, "a"))
		k.journal.add(failure("m2"))
		synctest.Wait()
		texts := strings.Join(k.inbox(target("a")).texts(), "\n---\n")
		if n := strings.Count(texts, "1 failed (m1)"); n != 1 {
			t.Errorf("m1 got %d messages:\n%s", n, texts)
		}
		k.end()
	})
}

// A target that fails is tried again with growing pauses, and delays no other.
func TestTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFixture(t, &fakeJournal{room: 64}, settings(12, "good", "bad"))
		bad := k.inbox(target("bad"))
		bad.fail = func(try int) error {
			if try < 4 {
				return errors.New("connection refused")
			}
			return nil
		}
		k.run()
		synctest.Wait()
		began := time.Now()
		k.journal.add(failure("nas"))
		synctest.Wait()
		k.wantTexts("good", "nas did not")
		k.wantTexts("bad")
		time.Sleep(5 * time.Minute)
		k.wantTexts("bad", "nas did not")
		var after []time.Duration
		for _, at := range bad.at {
			after = append(after, at.Sub(began))
		}
		if want := "[0s 5s 35s 2m35s]"; fmt.Sprint(after) != want {
			t.Errorf("tried after %v, want %s", after, want)
		}
		k.wantCounts(2, 0, 0)
		k.end()
	})
}

// A message that was not delivered is logged and counted, and the next message mentions it.
func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFixture(t, &fakeJournal{room: 64}, settings(12, "a"))
		a := k.inbox(target("a"))
		a.fail = func(try int) error {
			if try <= 5 {
				return errors.New("HTTP 403 Forbidden")
			}
			return nil
		}
		k.run()
		synctest.Wait()
		k.journal.add(failure("lost"))
		time.Sleep(time.Hour)
		k.wantCounts(0, 1, 0)
		if s := k.log.String(); !strings.Contains(s, "notification failed\"") || !strings.Contains(s, "HTTP 403 Forbidden") {
			t.Errorf("the log says\n%s", s)
		}
		k.journal.add(failure("nas"))
		synctest.Wait()
		k.wantTexts("a", "nas did not")
		if got := a.texts()[0]; !strings.HasSuffix(got, "\nEarlier messages that were not delivered: 1.") {
			t.Errorf("the next message is %q", got)
		}
		k.journal.add(failure("tv"))
		synctest.Wait()
		if got := a.texts()[1]; strings.Contains(got, "were not delivered") {
			t.Errorf("the message after that is %q", got)
		}
		k.end()
	})
}

// A target that never answers costs one goroutine, not one a try. It delays neither other targets
// nor the end.
func TestTargetThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFixture(t, &fakeJournal{room: 64}, settings(2*backlog, "good", "hangs"))
		hangs, release := k.inbox(target("hangs")), make(chan struct{})
		hangs.fail = func(int) error { <-release; return nil }
		k.run()
		synctest.Wait()
		for i := range backlog + 5 {
			k.journal.add(failure(fmt.Sprint("m", i)))
			synctest.Wait()
		}
		if got := len(k.inbox(target("good")).texts()); got != backlog+5 {
			t.Errorf("the good target got %d messages, want %d", got, backlog+5)
		}
		k.wantCounts(backlog+5, 4, 0) // one is being carried, as many as there is room for wait
		time.Sleep(time.Hour)
		if hangs.tries() != 1 {
			t.Errorf("%d tries at once", hangs.tries())
		}
		if s := k.log.String(); !strings.Contains(s, "no answer within 30s") || !strings.Contains(s, "an earlier try has not ended yet") {
			t.Errorf("the log says\n%s", s)
		}
		k.end()
		k.wantCounts(backlog+5, backlog+5, 0) // each is accounted for
		close(release)
	})
}

// Messages that wait at the end are logged and counted.
func TestEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFixture(t, &fakeJournal{room: 64}, settings(12, "a"))
		k.inbox(target("a")).fail = func(int) error { return errors.New("connection refused") }
		k.run()
		synctest.Wait()
		k.journal.add(failure("m0"), failure("m1"), failure("m2"))
		time.Sleep(time.Second) // between two tries
		k.end()
		k.wantCounts(0, 3, 0)
		if n := strings.Count(k.log.String(), "err=stopping"); n != 3 {
			t.Errorf("%d lines about it, want 3:\n%s", n, k.log)
		}
	})
}

// A reload removes and adds targets. Messages of the others are not affected.
func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFixture(t, &fakeJournal{room: 64}, settings(12)).run()
		synctest.Wait()
		k.journal.add(failure("before"))
		k.Configure(settings(12, "stays", "goes"))
		synctest.Wait()
		k.wantTexts("stays") // events without a target are not sent later
		stays := k.inbox(target("stays"))
		stays.fail = func(try int) error {
			if try == 1 {
				return errors.New("connection refused")
			}
			return nil
		}
		k.journal.add(failure("nas"))
		synctest.Wait()
		k.wantTexts("goes", "nas did not")
		s := settings(12, "stays", "comes")
		s.Events = []journal.Kind{journal.Refused}
		k.Configure(s)
		synctest.Wait()
		k.journal.add(failure("tv"), journal.Event{Kind: journal.Refused, Reason: "no"})
		time.Sleep(time.Minute)
		k.wantTexts("stays", "nas did not", "The registration of")
		k.wantTexts("goes", "nas did not")
		k.wantTexts("comes", "The registration of")
		comes := k.inbox(target("comes"))
		comes.fail = func(int) error { return errors.New("connection refused") }
		k.journal.add(journal.Event{Kind: journal.Refused})
		synctest.Wait()
		tries := comes.tries()
		k.Configure(settings(12))
		time.Sleep(time.Hour)
		if comes.tries() != tries {
			t.Error("a target that was taken away is tried again")
		}
		k.wantCounts(5, 1, 0)
		if k.journal.followed() {
			t.Error("the journal is followed without a target")
		}
		k.end()
	})
}
