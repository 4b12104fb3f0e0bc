package registration_test

import (
	"fmt"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/registration"
)

func TestRenamesAreBounded(t *testing.T) {
	var r registration.ChangeLimiter
	now := time.Now()
	name := "tower0"
	rename := func(to string) error {
		err := r.Rename(towerMAC, name, to, now)
		if err == nil {
			name = to
		}
		return err
	}
	for i := range 10 {
		now = now.Add(time.Minute)
		if err := rename(fmt.Sprint("tower", i+1)); err != nil {
			t.Fatalf("change %d: %v", i+1, err)
		}
	}
	for range 3 { // what was refused makes it no longer
		now = now.Add(time.Second)
		if err := rename("another"); err == nil {
			t.Fatal("an 11th name within an hour")
		}
	}
	if err := rename(name); err != nil {
		t.Errorf("the same name: %v", err)
	}
	if err := r.Rename(otherMAC, "nas", "nas2", now); err != nil {
		t.Errorf("another machine: %v", err)
	}
	now = now.Add(30 * time.Second)
	err := rename("another")
	const want = `name: found "another", the 11th change of the name within an hour: expected at most 10; "tower10" stays for 3027 s`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if r, ok := err.(*registration.Refusal); !ok || r.Outcome != registration.Limited {
		t.Errorf("counted as %v", r.Outcome)
	}
	now = now.Add(3027 * time.Second)
	if err := rename("another"); err != nil {
		t.Errorf("when that time is over: %v", err)
	}
	if err := rename("one more"); err == nil {
		t.Error("the second change of the hour is not yet that old")
	}
}

// TestANewMachineIsNotRenamed: it has no name to change.
func TestANewMachineIsNotRenamed(t *testing.T) {
	var r registration.ChangeLimiter
	for i := range 20 {
		if err := r.Rename(towerMAC, "", fmt.Sprint("tower", i), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAttackChangesWithoutEnd: a host registers itself again and again, each time
// with something else.
func TestAttackChangesWithoutEnd(t *testing.T) {
	var r registration.ChangeLimiter
	now := time.Now()
	for i := range 20 {
		now = now.Add(time.Second)
		if err := r.Change(towerMAC, now); err != nil {
			t.Fatalf("change %d: %v", i+1, err)
		}
	}
	now = now.Add(time.Second)
	err := r.Change(towerMAC, now)
	const want = "found change 21 of what d8:cb:8a:39:be:a1 has registered within an hour: expected at most 20; what it registered last stays for 3580 s"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := r.Change(otherMAC, now); err != nil {
		t.Errorf("another machine: %v", err)
	}
	if err := r.Change(towerMAC, now.Add(3580*time.Second)); err != nil {
		t.Errorf("when that time is over: %v", err)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	var r registration.ChangeLimiter
	now := time.Now()
	count := func(mac ether.MAC, registrations int, pause time.Duration) (n int) {
		for range registrations {
			if r.Record(mac, now) {
				n++
			}
			now = now.Add(pause)
		}
		return n
	}
	if n := count(towerMAC, 6000, 10*time.Millisecond); n != 10 {
		t.Errorf("%d records of 6,000 registrations in a minute", n)
	}
	if n := count(otherMAC, 5, time.Second); n != 5 {
		t.Errorf("%d of the 5 of another machine", n)
	}
	now = now.Add(time.Hour)
	if n := count(towerMAC, 24, time.Hour); n != 24 {
		t.Errorf("%d of 24 in a day", n)
	}
}

// TestChangeLimiterForgets: entries of invented MACs are removed.
func TestChangeLimiterForgets(t *testing.T) {
	var r registration.ChangeLimiter
	now := time.Now()
	for i := range 100_000 {
		now = now.Add(time.Second)
		mac := ether.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
		r.Record(mac, now)
		if err := r.Rename(mac, "a", "b", now); err != nil {
			t.Fatal(err)
		}
		if err := r.Change(mac, now); err != nil {
			t.Fatal(err)
		}
		if n := r.Known(); n > 3*2*3600+3 { // of all kinds
			t.Fatalf("%d are known after %d s", n, i)
		}
	}
}
