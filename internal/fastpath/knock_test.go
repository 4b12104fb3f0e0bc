package fastpath

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
	"nightporter/internal/wakefilter"
)

// A knock carries the kernel's receive time, from which the latency of the
// wake is measured.
func TestKnockTime(t *testing.T) {
	h := newFixture(t, 8, nas())
	p := syn(nas4, 22)
	p.Time = time.Unix(1_700_000_000, 42)
	h.Handle(p)
	if s := <-h.queue; !s.At.Equal(p.Time) {
		t.Errorf("knock at %v, want %v", s.At, p.Time)
	}
}

// What our own host sends knocks if it comes to our MAC. Anything else is on its
// way to its destination.
func TestHandleOutgoing(t *testing.T) {
	h := newFixture(t, 8, nas())
	h.HandleOutgoing(lantest.Segment(lantest.PorterMAC, porter4, nas4, 22, lantest.SYN))
	if diff := cmp.Diff([]string{"nas knock 10.77.0.20:22/tcp from 10.77.0.2:40000"}, h.seen()); diff != "" {
		t.Errorf("sightings (-want +got):\n%s", diff)
	}
	p := lantest.Segment(lantest.PorterMAC, porter4, nas4, 22, lantest.SYN)
	p.Dst = nasMAC
	h.HandleOutgoing(p)
	h.HandleOutgoing(lantest.ARPRequest(lantest.PorterMAC, ether.Broadcast, porter4, nas4))
	if got := h.seen(); got != nil || len(h.sent) > 0 {
		t.Errorf("reported %q and sent %d frames", got, len(h.sent))
	}
}

// A flood that does not wake leaves one sighting, and no garbage.
func TestFloodOfSuppressedKnocks(t *testing.T) {
	h := newFixture(t, 8, nas())
	h.View().rules.Filter = &wakefilter.Rules{MinKnocks: 1, Quiet: wakefilter.Hours{{From: 0, To: 24 * 60}}}
	filter := h.View().targets[nasMAC].filter
	filter.SetAtRest(time.Now(), true)
	p := syn(nas4, 22)
	if n := testing.AllocsPerRun(100, func() { h.Handle(p) }); n > 0 {
		t.Errorf("%v allocations for each frame", n)
	}
	for range 10 {
		h.Handle(echo(nas4))
	}
	for range 2 {
		if diff := cmp.Diff([]string{"nas ignored"}, h.seen()); diff != "" {
			t.Errorf("sightings (-want +got):\n%s", diff)
		}
		h.Handle(p) // nothing was reported so far, so the next one is
	}
	h.seen()
	filter.TakeUnreported(time.Now())
	h.Handle(p)
	if got := h.seen(); got != nil {
		t.Errorf("reported %q a second time", got)
	}
	if got := filter.Suppressed(); got[machine.InQuietHours] != 114 {
		t.Errorf("counted %v", got)
	}
}

// What does not wake is noted at the kernel's time, which has no monotonic reading, and is
// reported once an hour by any clock.
func TestIgnoredAtTheKernelsTime(t *testing.T) {
	h := newFixture(t, 8, nas())
	filter := h.View().targets[nasMAC].filter
	filter.SetAtRest(time.Now(), true)
	p := syn(nas4, 445)
	for i, c := range []struct {
		ago  time.Duration
		told int
	}{{0, 1}, {0, 0}, {-59 * time.Minute, 0}, {-time.Hour - time.Second, 1}} {
		p.Time = time.Now().Add(-c.ago).Round(0)
		h.Handle(p)
		h.seen()
		if got := len(filter.TakeUnreported(p.Time)); got != c.told {
			t.Errorf("packet %d: told %d times, want %d", i+1, got, c.told)
		}
		if last := filter.Ignored()[0].Last; !last.Equal(p.Time) {
			t.Errorf("packet %d is noted at %v, want %v", i+1, last, p.Time)
		}
	}
}

// segment is a TCP segment of the client with some flags and so much data.
func segment(port uint16, flags byte, payload int) *lan.Packet {
	p := lantest.Segment(clientMAC, client4, nas4, port, flags)
	p.Payload = payload
	return p
}

// Each packet that does not wake has its reason. What answers the machine has none.
func TestReasons(t *testing.T) {
	elsewhere := netip.MustParsePrefix("192.0.2.0/24")
	echoReply := lantest.IP(lan.EchoReply, clientMAC, client4, nas4)
	later := lantest.IP(lan.IP, clientMAC, client4, nas4)
	later.Fragment = true
	for _, c := range []struct {
		name   string
		change func(*machine.Spec, *Rules)
		p      *lan.Packet
		want   string // empty: nothing is noted
	}{
		{"a SYN to another port", nil, syn(nas4, 445), "port 10.77.0.20:445/tcp from 10.77.0.10:40000"},
		{"of the other family", nil, syn(nas6, 445), "port [fd77::20]:445/tcp from [fd77::10]:40000"},
		{"a datagram to another port", nil, datagram(nas4, 137), "port 10.77.0.20:137/udp from 10.77.0.10:40000"},
		{"a ping where icmp is not registered", func(s *machine.Spec, _ *Rules) { s.Monitor[0].Ports = []machine.Port{ssh} }, echo(nas4), "ping 10.77.0.20/icmp from 10.77.0.10:0"},
		{"data of an old connection", nil, segment(22, lantest.ACK, 7), "established 10.77.0.20:22/tcp from 10.77.0.10:40000"},
		{"its keep-alive", func(_ *machine.Spec, r *Rules) { r.Established = true }, segment(22, lantest.ACK, 0), "established 10.77.0.20:22/tcp from 10.77.0.10:40000"},
		{"its data to another port", func(_ *machine.Spec, r *Rules) { r.Established = true }, segment(445, lantest.ACK, 7), "established 10.77.0.20:445/tcp from 10.77.0.10:40000"},
		{"not in wake.from", func(_ *machine.Spec, r *Rules) { r.From = []netip.Prefix{elsewhere} }, syn(nas4, 22), "source 10.77.0.20:22/tcp from 10.77.0.10:40000"},
		{"not in the machine's", func(s *machine.Spec, _ *Rules) { s.WakeFrom = []netip.Prefix{elsewhere} }, datagram(nas4, 27015), "source 10.77.0.20:27015/udp from 10.77.0.10:40000"},
		{"not in the service's", func(s *machine.Spec, _ *Rules) {
			s.Monitor[0].Settings = map[machine.Port]machine.Settings{ssh: {WakeFrom: []netip.Prefix{elsewhere}}}
		}, syn(nas4, 22), "source 10.77.0.20:22/tcp from 10.77.0.10:40000"},
		{"an echo reply", nil, echoReply, ""},
		{"a later fragment", nil, later, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, rules := nas(), Rules{}
			if c.change != nil {
				c.change(&spec, &rules)
			}
			h := newFixture(t, 8, spec)
			h.View().rules = rules
			filter := h.View().targets[nasMAC].filter
			h.Handle(c.p)
			if got := filter.Ignored(); got != nil {
				t.Errorf("noted %v of a machine that does not rest", got)
			}
			filter.SetAtRest(time.Now(), true)
			h.Handle(c.p)
			got := ""
			for _, i := range filter.Ignored() {
				got += fmt.Sprintf("%s %s from %s", i.Reason, i.Target(), i.Source)
			}
			if got != c.want {
				t.Errorf("noted %q, want %q", got, c.want)
			}
			if seen := h.seen(); (seen != nil) != (c.want != "") {
				t.Errorf("sightings %q", seen)
			}
		})
	}
}

// BenchmarkIgnored is a packet that does not wake a sleeping machine, as in a flood: to a
// port that is not registered, and to a new one each time.
func BenchmarkIgnored(b *testing.B) {
	h, spec := benchFixture(b)
	ip := spec.Monitor[0].IP
	h.View().addrs[ip].target.filter.SetAtRest(time.Now(), true)
	p := syn(ip, 445)
	p.Time = time.Now()
	b.Run("one port", func(b *testing.B) {
		for b.Loop() {
			h.Handle(p)
		}
	})
	b.Run("a scan", func(b *testing.B) {
		for b.Loop() {
			p.ToPort++
			h.Handle(p)
		}
	})
}

// BenchmarkKnock is one knock from the reader to the loop, each time anew.
func BenchmarkKnock(b *testing.B) {
	h, spec := benchFixture(b)
	p := syn(spec.Monitor[0].IP, 22)
	for b.Loop() {
		h.Handle(p)
		s := <-h.queue
		s.Taken()
	}
}
