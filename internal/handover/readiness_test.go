package handover_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/handover"
	"nightporter/internal/machine"
)

var (
	nas4 = netip.MustParseAddr("10.77.0.20")
	nas6 = netip.MustParseAddr("fd77::20")

	ssh  = machine.Service{Addr: nas4, Port: machine.Port{Protocol: machine.TCP, Number: 22}}
	web6 = machine.Service{Addr: nas6, Port: machine.Port{Protocol: machine.TCP, Number: 80}}
	game = machine.Service{Addr: nas4, Port: machine.Port{Protocol: machine.UDP, Number: 27015}}
	ping = machine.Service{Addr: nas4, Port: machine.Port{Protocol: machine.ICMP}}

	unset = new(machine.Spec) // of a machine whose services have nothing of their own

	start = time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)
)

// waiting says that a client waits with a datagram for any service.
func waiting(machine.Service) (netip.Addr, bool) { return client, true }

// run drives r until a moment, and returns when each service was asked.
func run(r *handover.Readiness, from, until time.Duration) (asked map[machine.Service][]time.Duration, ready []machine.Service) {
	asked = make(map[machine.Service][]time.Duration)
	for now := from; now <= until; now += time.Millisecond {
		next := r.Next()
		d := r.Due(start.Add(now), 0, waiting)
		ask, open := d.Probe, d.Ready
		if (len(ask) > 0 || len(open) > 0) && (next.IsZero() || next.After(start.Add(now))) {
			panic("something was due that Next had not told")
		}
		for _, s := range ask {
			asked[s] = append(asked[s], now)
		}
		ready = append(ready, open...)
	}
	return asked, ready
}

func TestTCPIsAskedAtOnceAndEvenMoreSlowly(t *testing.T) {
	var r handover.Readiness
	r.Expect(start, unset, []machine.Service{ssh})
	asked, ready := run(&r, 0, 40*time.Second)
	at := asked[ssh]
	if at[0] != 0 || at[1] != 5*time.Millisecond || at[200] != time.Second {
		t.Errorf("asked at %v ...", at[:5])
	}
	for i := range at[1:] {
		if gap := at[i+1] - at[i]; gap < 5*time.Millisecond || gap > max(5*time.Millisecond, at[i]/800)+time.Millisecond {
			t.Fatalf("%v between two questions after %v", gap, at[i])
		}
	}
	if ready != nil || r.Done() {
		t.Error("ready without an answer")
	}
	if !r.Accepted(start, ssh) || !r.Done() || !r.Next().IsZero() {
		t.Error("not ready with the SYN-ACK")
	}
	if r.Accepted(start, ssh) {
		t.Error("ready a second time")
	}
}

func TestServicesBecomeReadyOneByOne(t *testing.T) {
	var r handover.Readiness
	if r.Done() {
		t.Error("done before anything was expected")
	}
	r.Expect(start, unset, []machine.Service{ssh, web6, ping})
	if r.Accepted(start, game) || !r.Accepted(start, web6) || r.Done() {
		t.Error("a service that was accepted is not the only one that is ready")
	}
	if got := r.Answered(start, nas6); got != nil {
		t.Errorf("%v are ready by an answer for another address", got)
	}
	if got := r.Answered(start, nas4); !slices.Equal(got, []machine.Service{ping}) || r.Done() {
		t.Errorf("%v are ready by an answer for their address", got)
	}
	// One more comes; what is ready stays so.
	r.Expect(start.Add(time.Second), unset, []machine.Service{ssh, web6, ping, game})
	asked, _ := run(&r, time.Second, 2*time.Second)
	if len(asked[web6]) > 0 || len(asked[ssh]) == 0 {
		t.Errorf("asked %v", asked)
	}
	r.Expect(start, unset, []machine.Service{web6, ping})
	if !r.Done() {
		t.Error("waits for services without clients")
	}
	r.Reset()
	if r.Done() {
		t.Error("done after a reset")
	}
}

// TestDatagramsAreObjectedTo: a machine may send few objections, so that only
// the first questions follow each other closely.
func TestDatagramsAreObjectedTo(t *testing.T) {
	var r handover.Readiness
	r.Expect(start, unset, []machine.Service{game})
	if asked, _ := run(&r, 0, time.Second); len(asked) > 0 {
		t.Fatal("asked before the machine has answered for its address")
	}
	now := start
	r.Answered(now, nas4)
	var gaps []time.Duration
	for range 8 {
		due := r.Next()
		gaps = append(gaps, due.Sub(now))
		d := r.Due(due, 0, waiting)
		ask, ready := d.Probe, d.Ready
		if len(ask) != 1 || len(ready) != 0 {
			t.Fatalf("asks %v, ready %v", ask, ready)
		}
		now = due.Add(time.Millisecond)
		r.Unreachable(now, game)
		r.Unreachable(now, game) // a second one says nothing new
	}
	want := []time.Duration{0, 50, 100, 200, 400, 400, 1044, 1099}
	for i := range want {
		if gaps[i] != want[i]*time.Millisecond {
			t.Errorf("gaps %v, want %v ms", gaps, want)
			break
		}
	}
	due := r.Next()
	r.Due(due, 0, waiting)
	if ready := r.Due(due.Add(49*time.Millisecond), 0, waiting).Ready; ready != nil {
		t.Error("ready before the machine could object")
	}
	if got := r.Next(); got != due.Add(50*time.Millisecond) {
		t.Errorf("next at %v", got.Sub(due))
	}
	if ready := r.Due(due.Add(50*time.Millisecond), 0, waiting).Ready; !slices.Equal(ready, []machine.Service{game}) || !r.Done() {
		t.Error("not ready although the machine did not object")
	}
	r.Answered(due, nas4)
	r.Unreachable(due, game) // too late
	if !r.Next().IsZero() {
		t.Error("asks a service that is ready")
	}
}

// A refusal may be among unread frames. The service is not ready before they are read, or a second later.
func TestDatagramsWaitForUnreadFrames(t *testing.T) {
	var r handover.Readiness
	r.Expect(start, unset, []machine.Service{ssh, game})
	r.Answered(start, nas4)
	r.Due(start, 0, waiting)
	now := start.Add(49 * time.Millisecond)
	if r.Accepts(now) {
		t.Error("accepts before the machine could refuse")
	}
	for range 5 {
		now = now.Add(11 * time.Millisecond)
		if !r.Accepts(now) {
			t.Fatalf("after %v nothing is accepted", now.Sub(start))
		}
		r.Unread(now)
		if ready := r.Due(now, 0, waiting).Ready; ready != nil {
			t.Fatalf("after %v %v is ready, with unread frames", now.Sub(start), ready)
		}
	}
	r.Unreachable(now, game)
	if r.Accepts(now.Add(time.Minute)) {
		t.Error("accepts what was refused")
	}
	var d handover.Due
	for now = r.Next(); !slices.Contains(d.Probe, game); now = now.Add(time.Millisecond) {
		d = r.Due(now, 0, waiting)
	}
	sent := now
	for ; !slices.Contains(d.Ready, game); now = now.Add(time.Millisecond) {
		if now.Sub(sent) > 2*time.Second {
			t.Fatal("waits for ever")
		}
		r.Unread(now)
		d = r.Due(now, 0, waiting)
	}
	if took := now.Sub(sent); took < time.Second {
		t.Errorf("ready after %v, with unread frames", took)
	}
}

func TestNobodyWaits(t *testing.T) {
	var r handover.Readiness
	r.Expect(start, unset, nil)
	if r.Done() || !r.Next().IsZero() {
		t.Error("done before any address answered")
	}
	r.Answered(start, nas6)
	if !r.Done() {
		t.Error("not done although an address answered")
	}
}

// In a crowd each service is asked less often.
func TestCrowdIsAskedMoreSlowly(t *testing.T) {
	for pace, want := range map[time.Duration]time.Duration{
		0: 5 * time.Millisecond, 50 * time.Millisecond: 50 * time.Millisecond, time.Second: time.Second,
	} {
		var r handover.Readiness
		r.Expect(start, unset, []machine.Service{ssh})
		r.Due(start, pace, waiting)
		if got := r.Next().Sub(start); got != want {
			t.Errorf("at a pace of %v the second question comes after %v, want %v", pace, got, want)
		}
	}
}

// linux is the limiter of icmp errors to one peer.
type linux struct {
	tokens float64
	last   time.Time
}

func (l *linux) object(now time.Time) bool {
	l.tokens = min(6, l.tokens+now.Sub(l.last).Seconds())
	l.last = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}

func TestTwoUDPServicesShareTheRation(t *testing.T) {
	var r handover.Readiness
	game2 := machine.Service{Addr: nas4, Port: machine.Port{Protocol: machine.UDP, Number: 27016}}
	r.Expect(start, unset, []machine.Service{game, game2})
	r.Answered(start, nas4)
	l := linux{tokens: 6, last: start}
	for now := start; now.Before(start.Add(20 * time.Second)); now = now.Add(time.Millisecond) {
		d := r.Due(now, 0, waiting)
		ask, ready := d.Probe, d.Ready
		for _, s := range ask {
			if l.object(now) {
				r.Unreachable(now, s)
			}
		}
		if len(ready) > 0 {
			t.Fatalf("%v is ready after %v, though neither listens", ready, now.Sub(start))
		}
	}
}

// Each client has a ration of its own, since the machine counts what it sends to each.
func TestEachClientHasItsRation(t *testing.T) {
	var r handover.Readiness
	r.Expect(start, unset, []machine.Service{game})
	r.Answered(start, nas4)
	now, asks := start, 0
	for i := range 20 { // the oldest datagram is another client's each time
		now = r.Next()
		d := r.Due(now, 0, func(machine.Service) (netip.Addr, bool) { return netip.AddrFrom4([4]byte{10, 77, 1, byte(i)}), true })
		asks += len(d.Probe)
		r.Unreachable(now, game)
	}
	if took := now.Sub(start); asks != 20 || took > 8*time.Second {
		t.Errorf("%d questions in %v", asks, took)
	}
}

// Where no datagram waits there is nothing to probe with, and no client to wait for. A
// knock may be reported before its datagram is held.
func TestNoDatagramToAskWith(t *testing.T) {
	var r handover.Readiness
	nothing := func(machine.Service) (netip.Addr, bool) { return netip.Addr{}, false }
	r.Expect(start, unset, []machine.Service{game})
	r.Answered(start, nas4)
	if d := r.Due(start, 0, nothing); len(d.Probe)+len(d.Ready) > 0 {
		t.Fatalf("due %+v", d)
	}
	now := r.Next()
	if d := r.Due(now, 0, waiting); len(d.Probe) != 1 {
		t.Fatalf("due %+v, though a datagram has come", d)
	}
	r.Unreachable(now, game)
	now = r.Next()
	r.Due(now, 0, nothing)
	now = r.Next()
	if d := r.Due(now, 0, nothing); !slices.Equal(d.Ready, []machine.Service{game}) || !r.Done() {
		t.Errorf("due %+v, and no client waits", d)
	}
}

// wanting returns a machine whose services at nas4 have to show more.
func wanting(ready string, services ...machine.Service) *machine.Spec {
	by, err := machine.ParseReady(ready)
	if err != nil {
		panic(err)
	}
	a := machine.Address{IP: nas4}
	for _, s := range services {
		a.Set([]machine.Port{s.Port}, machine.Settings{Ready: by})
	}
	return &machine.Spec{Monitor: []machine.Address{a}}
}

// A service that has to show more is checked once it accepts connections, one check
// at a time, and again 250 ms after one that failed.
func TestServiceIsChecked(t *testing.T) {
	for _, ready := range []string{"http:/", "https:/=204", "banner:SSH"} {
		var r handover.Readiness
		r.Expect(start, wanting(ready, ssh), []machine.Service{ssh})
		if d := r.Due(start, 0, waiting); len(d.Probe) != 1 || len(d.Check) > 0 {
			t.Fatalf("%s: due %+v before a SYN-ACK", ready, d)
		}
		now := start.Add(time.Second)
		for range 2 {
			if r.Accepted(now, ssh) || r.Done() {
				t.Fatalf("%s: ready with the SYN-ACK", ready)
			}
		}
		if r.Checked(now, r.Began(), ssh, true) {
			t.Errorf("%s: ready by a check that was not requested", ready)
		}
		if d := r.Due(r.Next(), 0, waiting); len(d.Probe) > 0 || !slices.Equal(d.Check, []machine.Service{ssh}) {
			t.Fatalf("%s: due %+v after the SYN-ACK", ready, d)
		}
		if !r.Next().IsZero() {
			t.Errorf("%s: something else is due during a check", ready)
		}
		if r.Checked(now, start.Add(-time.Minute), ssh, true) {
			t.Errorf("%s: ready by a check of an earlier arrival", ready)
		}
		if r.Checked(now, r.Began(), ssh, false) || r.Next() != now.Add(250*time.Millisecond) {
			t.Errorf("%s: next at %v after a check that failed", ready, r.Next().Sub(now))
		}
		if d := r.Due(r.Next(), 0, waiting); !slices.Equal(d.Check, []machine.Service{ssh}) {
			t.Fatalf("%s: due %+v", ready, d)
		}
		if !r.Checked(now, r.Began(), ssh, true) || !r.Done() {
			t.Errorf("%s: not ready though the check has passed", ready)
		}
	}
}

// A delay begins when the service accepts, or where nothing does, when the address
// answers.
func TestServiceIsReadyAfterADelay(t *testing.T) {
	services := []machine.Service{ssh, game, ping}
	var r handover.Readiness
	r.Expect(start, wanting("delay:5s", services...), services)
	r.Due(start, 0, waiting)
	if r.Answered(start, nas4) != nil || r.Accepted(start.Add(time.Second), ssh) {
		t.Fatal("ready without the delay")
	}
	r.Answered(start.Add(2*time.Second), nas4) // says nothing new
	r.Unreachable(start.Add(2*time.Second), game)
	asked, ready := run(&r, time.Second, 4999*time.Millisecond)
	if len(asked) > 0 || len(ready) > 0 {
		t.Errorf("asked %v, ready %v during the delay", asked, ready)
	}
	if _, ready = run(&r, 5*time.Second, 5999*time.Millisecond); !slices.Equal(ready, []machine.Service{game, ping}) {
		t.Errorf("%v are ready 5 s after the address answered", ready)
	}
	if _, ready = run(&r, 6*time.Second, 6*time.Second); !slices.Equal(ready, []machine.Service{ssh}) || !r.Done() {
		t.Errorf("%v are ready 5 s after the SYN-ACK", ready)
	}
}
