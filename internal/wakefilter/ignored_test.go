package wakefilter_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"nightporter/internal/machine"
	"nightporter/internal/wakefilter"
)

var nas = netip.MustParseAddr("192.0.2.20")

// at80 is a service of the machine.
var at80 = tcp(80)

func tcp(port uint16) machine.Service {
	return machine.Service{Addr: nas, Port: machine.Port{Protocol: machine.TCP, Number: port}}
}

func toPort(port uint16) machine.Ignored {
	return machine.Ignored{Reason: machine.PortNotRegistered, Service: tcp(port), Source: netip.AddrPortFrom(alice, 40000)}
}

// reported returns what is reported, in short.
func reported(f *wakefilter.Filter, at time.Time) (all []string) {
	for _, i := range f.TakeUnreported(at) {
		all = append(all, fmt.Sprintf("%s %q %d", i.Reason, i.Target(), i.Count))
	}
	return all
}

// The first packet of each reason and port is reported, and then one an hour.
func TestIgnoredIsReportedOnceAnHour(t *testing.T) {
	f := sleeper()
	ping := machine.Ignored{Reason: machine.PingNotRegistered, Service: machine.Service{Addr: nas, Port: machine.Port{Protocol: machine.ICMP}}}
	for _, c := range []struct {
		after time.Duration
		seen  machine.Ignored
		want  []string
	}{
		{0, toPort(80), []string{`port "192.0.2.20:80/tcp" 1`}},
		{time.Second, toPort(80), nil},
		{time.Minute, toPort(81), []string{`port "192.0.2.20:81/tcp" 1`}},
		{time.Minute, ping, []string{`ping "192.0.2.20/icmp" 1`}},
		{time.Hour - 1, toPort(80), nil},
		{time.Hour, toPort(80), []string{`port "192.0.2.20:80/tcp" 4`}},
		{time.Hour + 2*time.Minute, ping, []string{`ping "192.0.2.20/icmp" 2`}},
	} {
		at := evening.Add(c.after)
		if untold := f.CountIgnored(c.seen, at); untold != (c.want != nil) {
			t.Errorf("after %v: unreported: %t", c.after, untold)
		}
		if diff := cmp.Diff(c.want, reported(f, at)); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", c.after, diff)
		}
	}
	if got := reported(f, evening.Add(24*time.Hour)); got != nil {
		t.Errorf("reported %q, although nothing came", got)
	}
	want := []machine.Ignored{
		{Reason: ping.Reason, Service: ping.Service, First: evening.Add(time.Minute), Last: evening.Add(time.Hour + 2*time.Minute), Count: 2},
		{Reason: machine.PortNotRegistered, Service: at80, Source: toPort(80).Source, First: evening, Last: evening.Add(time.Hour), Count: 4},
		{Reason: machine.PortNotRegistered, Service: tcp(81), Source: toPort(81).Source, First: evening.Add(time.Minute), Last: evening.Add(time.Minute), Count: 1},
	}
	if diff := cmp.Diff(want, f.Ignored(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
}

// Failed wakes are reported by themselves. The packets for such a machine are four events
// a day.
func TestFailedWakesAreReportedRarely(t *testing.T) {
	f, events := sleeper(), 0
	for at := evening; at.Before(evening.Add(24 * time.Hour)); at = at.Add(10 * time.Second) {
		f.CountIgnored(machine.Ignored{Reason: machine.AfterFailures, Service: at80}, at)
		events += len(f.TakeUnreported(at))
	}
	if events != 4 {
		t.Errorf("%d events", events)
	}
}

// A scan of all ports is a few events, and does not prevent the report of other reasons.
func TestScanOfAllPorts(t *testing.T) {
	f := sleeper()
	events := 0
	for port := range 65535 {
		at := evening.Add(time.Duration(port) * time.Millisecond)
		f.CountIgnored(toPort(uint16(port+1)), at)
		events += len(f.TakeUnreported(at))
	}
	if events != 9 {
		t.Errorf("%d events, want 8 ports and one for the others", events)
	}
	all := f.Ignored()
	if len(all) != 9 || all[0].Target() != "" || all[0].Count != 65527 {
		t.Errorf("ignored %d kinds, the last of them %+v", len(all), all[0])
	}
	at := evening.Add(2 * time.Minute)
	f.CountIgnored(machine.Ignored{Reason: machine.FromThisHost, Service: machine.Service{Addr: nas}}, at)
	if diff := cmp.Diff([]string{`local "192.0.2.20" 1`}, reported(f, at)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	later := evening.Add(2 * time.Hour) // the scan is over, and its ports are replaced
	f.CountIgnored(toPort(80), later)
	if diff := cmp.Diff([]string{`port "192.0.2.20:80/tcp" 1`}, reported(f, later)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// Nothing counts of a machine that does not rest.
func TestNothingIsIgnoredWhileAwake(t *testing.T) {
	f := new(wakefilter.Filter)
	if f.CountIgnored(toPort(80), evening) || f.Ignored() != nil || f.Suppressed() != [len(machine.Suppressions)]uint64{} {
		t.Errorf("ignored %v", f.Ignored())
	}
}

// Whatever comes, each packet counts once, memory is bounded, and so are the events of
// an hour.
func TestIgnoredIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := sleeper()
		at, packets := evening, uint64(0)
		told := make(map[string]time.Time)
		for range rapid.IntRange(1, 300).Draw(t, "packets") {
			at = at.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "minutes")) * time.Minute)
			seen := machine.Ignored{
				Reason:  rapid.SampledFrom(machine.Suppressions[:]).Draw(t, "reason"),
				Service: tcp(uint16(rapid.IntRange(1, 20).Draw(t, "port"))),
			}
			f.CountIgnored(seen, at)
			packets++
			for _, i := range f.TakeUnreported(at) {
				key := i.Reason.String() + i.Target()
				if before, again := told[key]; again && at.Sub(before) < time.Hour {
					t.Fatalf("%s was reported %v after it was", key, at.Sub(before))
				}
				told[key] = at
			}
		}
		all := f.Ignored()
		if len(all) > 41 {
			t.Fatalf("%d kinds are kept", len(all))
		}
		var counted uint64
		for _, n := range f.Suppressed() {
			counted += n
		}
		if counted != packets {
			t.Fatalf("counted %d of %d packets", counted, packets)
		}
		ports := make(map[machine.Suppression]int)
		for _, i := range all {
			if ports[i.Reason]++; ports[i.Reason] > 9 {
				t.Fatalf("%d kinds of %s", ports[i.Reason], i.Reason)
			}
		}
	})
}
