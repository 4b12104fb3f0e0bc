package journal

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// beforeFile was written by a porter that knew no more of a machine than what
// before returns: it was given just these records.
const beforeFile = "testdata/before.jsonl"

// memoryBefore is memoryOf without what was not known then.
func memoryBefore(i int) *machine.Memory {
	m := memoryOf(i)
	m.Spec.Unwatched, m.Spec.WakeMAC, m.Spec.Secret, m.BootTimes = false, ether.MAC{}, machine.Secret{}, machine.BootTimes{}
	m.Spec.Monitor[1].MAC = ether.MAC{}
	m.Heard, m.Counted, m.Failures, m.Unproved, m.OtherAddrs = time.Time{}, time.Time{}, 0, nil, nil
	m.Paused, m.LastWake.Test, m.NameConfigured = time.Time{}, false, false
	m.LastWake.By = "some" + "body" // as in the file
	return m
}

// before returns what was appended: machines in every state, one that was renamed,
// one that was forgotten, one with more services than are allowed now, and an
// event of each kind there was.
func before() []Record {
	var all []Record
	tell := func(e Event, m *machine.Memory) {
		e.At = night.Add(time.Duration(len(all)) * time.Minute)
		if m != nil {
			e.Machine, e.MAC = m.Spec.Name, m.Spec.MAC
		}
		all = append(all, Record{Event: e, Memory: m})
	}
	for i, state := range machine.States {
		m := memoryBefore(i)
		m.State = state
		tell(Event{Kind: Registered, Reason: "registered"}, m)
	}
	for i, kind := range []Kind{Refused, Settling, Asleep, Knock, Asked, Magic, Arrived, Ready, Failed, ExternalStart, Awake, Conflict, ConflictOver, Suppressed} {
		e := fullEvent()
		e.Kind, e.Attempts, e.Until, e.NotReady, e.Test = kind, i, time.Time{}, nil, false
		tell(e, nil)
	}

	console := memoryBefore(10) // it never registered, and was never woken
	console.Registered, console.LastWake, console.Tally, console.Knocks = time.Time{}, machine.LastWake{}, machine.Tally{}, nil
	tell(Event{Kind: Asleep, Reason: "fell silent"}, console)

	plain := memoryBefore(11)
	plain.Spec.Password, plain.Spec.WakeFrom, plain.Spec.Agentless = nil, nil, false
	plain.SleepLog, plain.NICAnswers = nil, false
	plain.LastWake = machine.LastWake{At: night, Trigger: machine.ByAPI, By: "10.77.0.10:40001", Outcome: machine.UnderWay, Attempts: 1}
	plain.State = machine.Waking
	tell(Event{Kind: Asked, Trigger: "api", By: "10.77.0.10:40001"}, plain)

	renamed := memoryBefore(11)
	*renamed = *plain
	renamed.Spec.Name = "tower"
	tell(Event{Kind: Registered}, renamed)

	tell(Event{Kind: Registered}, memoryBefore(12))
	tell(Event{Kind: Forgotten, Machine: memoryBefore(12).Spec.Name, MAC: macOf(12)}, nil)
	all[len(all)-1].Forgotten = macOf(12)

	many := memoryBefore(13)
	many.Spec.Monitor = nil
	for i := range 10 {
		a := machine.Address{IP: netip.MustParseAddr(fmt.Sprintf("fd77::13:%d", i))}
		for port := range uint16(30) {
			a.Ports = append(a.Ports, machine.Port{Protocol: machine.TCP, Number: 1000 + port})
		}
		many.Spec.Monitor = append(many.Spec.Monitor, a)
	}
	tell(Event{Kind: Asleep}, many)
	return all
}

// TestBefore: an update forgets no machine, and no event.
func TestBefore(t *testing.T) {
	f, err := os.Open(beforeFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := read(f)
	if c.fault != nil || c.torn != 0 || !c.ended {
		t.Fatalf("fault %v, %d bytes torn, ended %v", c.fault, c.torn, c.ended)
	}
	want := make(map[ether.MAC]machine.Memory)
	var events []Event
	for i, r := range before() {
		r.Event.Seq = uint64(i + 1)
		events = append(events, r.Event)
		if r.Memory != nil {
			want[r.Memory.Spec.MAC] = *r.Memory
		}
		delete(want, r.Forgotten)
	}
	many := want[macOf(13)]
	many.Spec.Monitor = many.Spec.Monitor[:10:10]
	many.Spec.Monitor[8].Ports = many.Spec.Monitor[8].Ports[:machine.MaxServices-8*30]
	many.Spec.Monitor[9].Ports = nil // the address stays
	want[macOf(13)] = many
	same(t, "machines", c.machines, want)
	same(t, "events", c.events.newest(0, "", 0), events)
}

// TestBeforeGoesOn: the file is appended to, and is not set aside.
func TestBeforeGoesOn(t *testing.T) {
	dir := t.TempDir()
	content, err := os.ReadFile(beforeFile)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, content)
	j, past, l := opened(t, dir)
	if past.SetAside != "" || len(past.Machines) != 8 || len(l.lines("level=")) > 0 {
		t.Fatalf("set aside %q, %d machines, log %q", past.SetAside, len(past.Machines), l.lines(""))
	}
	j.Append(Record{Event: Event{Kind: Waiting}, Memory: memoryOf(1)})
	closed(t, j)
	if got := contentOf(t, dir); string(got[:len(content)]) != string(content) {
		t.Error("what there was has been rewritten")
	}
	_, past, _ = opened(t, dir)
	if len(past.Machines) != 8 || past.Events[len(past.Events)-1].Kind != Waiting {
		t.Errorf("%d machines, last event %+v", len(past.Machines), past.Events[len(past.Events)-1])
	}
}
