package fastpath

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
)

// answer is a frame that arrives some time after the question: more than none,
// or it may come before the question is asked.
type answer struct {
	after time.Duration
	p     *lan.Packet
}

// inquiry is one lookup on fake time, and what came of it.
type inquiry struct {
	macs  []ether.MAC
	err   error
	took  time.Duration
	asked []time.Duration // when the question went out
}

// resolved asks for ip while answers arrive at the reader. It has to run in a
// bubble of synctest.
func resolved(ctx context.Context, h *fixture, ip netip.Addr, answers ...answer) inquiry {
	begin := time.Now()
	for _, a := range answers {
		time.AfterFunc(a.after, func() { h.Handle(a.p) })
	}
	var q inquiry
	q.macs, q.err = h.Resolve(ctx, ip, func() error {
		q.asked = append(q.asked, time.Since(begin))
		return nil
	})
	q.took = time.Since(begin)
	return q
}

// closed fails the test if a lookup was left open.
func (h *fixture) closed() {
	h.tb.Helper()
	if n := h.resolver.open.Load(); n != 0 || len(h.resolver.waiting) != 0 {
		h.tb.Errorf("%d lookups left open, for %d addresses", n, len(h.resolver.waiting))
	}
}

func TestResolve(t *testing.T) {
	const (
		ms     = time.Millisecond
		pause  = resolvePause
		linger = resolveLinger
	)
	nasAnswer := lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4)
	thiefAnswer := lantest.ARPReply(intruderMAC, lantest.PorterMAC, nas4, porter4)
	once, twice, thrice := []time.Duration{0}, []time.Duration{0, pause}, []time.Duration{0, pause, 2 * pause}
	for _, c := range []struct {
		name    string
		ip      netip.Addr
		answers []answer
		want    []ether.MAC
		first   time.Duration   // answer
		asked   []time.Duration // before it; the rest of three times every linger after it
	}{
		{"an answer ends no question", nas4, []answer{{10 * ms, nasAnswer}}, []ether.MAC{nasMAC}, 10 * ms, once},
		{"two hosts answer", nas4, []answer{{ms, nasAnswer}, {linger, thiefAnswer}}, []ether.MAC{nasMAC, intruderMAC}, ms, once},
		{"one host answers several times", nas4, []answer{{ms, nasAnswer}, {50 * ms, nasAnswer}, {60 * ms, nasAnswer}}, []ether.MAC{nasMAC}, ms, once},
		{"the owner's answer is lost twice", nas4, []answer{{ms, thiefAnswer}, {2*linger + 5*ms, nasAnswer}}, []ether.MAC{intruderMAC, nasMAC}, ms, once},
		{"an answer after the last linger is too late", nas4, []answer{{ms, nasAnswer}, {3*linger + 5*ms, thiefAnswer}}, []ether.MAC{nasMAC}, ms, once},
		{"the second question is answered", nas4, []answer{{pause + 10*ms, nasAnswer}}, []ether.MAC{nasMAC}, pause + 10*ms, twice},
		{"the answer crosses the end of a pause", nas4, []answer{{pause - ms, nasAnswer}}, []ether.MAC{nasMAC}, pause - ms, once},
		{"the last question is answered late", nas4, []answer{{3*pause - ms, nasAnswer}}, []ether.MAC{nasMAC}, 3*pause - ms, thrice},
		{"no host answers", nas4, nil, nil, 0, thrice},
		{"the answers are for other addresses", nas4, []answer{{ms, lantest.ARPReply(tvMAC, lantest.PorterMAC, tv4, porter4)}, {ms, lantest.Advertise(nasMAC, lantest.PorterMAC, nasMAC, nas6)}}, nil, 0, thrice},
		{"a request is no answer", nas4, []answer{{ms, lantest.ARPRequest(nasMAC, ether.Broadcast, nas4, nas4)}}, nil, 0, thrice},
		{"an advertisement answers for its target", nas6, []answer{{ms, &lan.Packet{Kind: lan.NeighborAdvertisement, Src: nasMAC,
			From: netip.MustParseAddr("fe80::20"), Target: nas6, SenderMAC: nasMAC}}}, []ether.MAC{nasMAC}, ms, once},
		{"an advertisement without an option", nas6, []answer{{ms, lantest.Advertise(nasMAC, lantest.PorterMAC, ether.MAC{}, nas6)}}, []ether.MAC{nasMAC}, ms, once},
		{"a reply in the frame of another host", nas4, []answer{{ms, &lan.Packet{Kind: lan.ARPReply, Src: intruderMAC, SenderMAC: nasMAC, From: nas4}}}, nil, 0, thrice},
		{"an advertisement in the frame of another host", nas6, []answer{{ms, lantest.Advertise(intruderMAC, lantest.PorterMAC, nasMAC, nas6)}}, nil, 0, thrice},
	} {
		took := 3 * pause
		if c.first > 0 {
			for took = c.first + linger; len(c.asked) < 3; took += linger {
				c.asked = append(slices.Clone(c.asked), took)
			}
		}
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFixture(t, 8)
				q := resolved(t.Context(), h, c.ip, c.answers...)
				if q.err != nil {
					t.Fatal(q.err)
				}
				if diff := cmp.Diff(c.want, q.macs); diff != "" {
					t.Errorf("who answered (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.asked, q.asked); diff != "" {
					t.Errorf("asked at (-want +got):\n%s", diff)
				}
				if q.took != took {
					t.Errorf("took %v, want %v", q.took, took)
				}
				h.closed()
				time.Sleep(time.Second) // late answers are dropped
			})
		})
	}
}

// The answer of a watched machine ends a lookup and is a sighting too.
func TestResolveOfAWatchedMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t, 8, nas())
		q := resolved(t.Context(), h, nas4, answer{time.Millisecond, lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4)})
		if diff := cmp.Diff([]ether.MAC{nasMAC}, q.macs); q.err != nil || diff != "" {
			t.Errorf("%v, who answered (-want +got):\n%s", q.err, diff)
		}
		if diff := cmp.Diff([]string{"nas answer 10.77.0.20"}, h.seen()); diff != "" {
			t.Errorf("sightings (-want +got):\n%s", diff)
		}
	})
}

func TestResolveCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t, 8)
		ctx, cancel := context.WithTimeout(t.Context(), resolvePause+50*time.Millisecond)
		defer cancel()
		q := resolved(ctx, h, nas4)
		if !errors.Is(q.err, context.DeadlineExceeded) || q.took != resolvePause+50*time.Millisecond || len(q.asked) != 2 {
			t.Errorf("%v after %v and %d questions", q.err, q.took, len(q.asked))
		}
		// ... also when a host has answered already: there may be more to say.
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		q = resolved(ctx, h, nas4, answer{time.Millisecond, lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4)})
		if !errors.Is(q.err, context.DeadlineExceeded) || q.macs != nil {
			t.Errorf("%v, %v answered", q.err, q.macs)
		}
		h.closed()
	})
}

func TestResolveThatCannotAsk(t *testing.T) {
	h := newFixture(t, 8)
	broken := errors.New("no buffer space")
	if macs, err := h.Resolve(t.Context(), nas4, func() error { return broken }); !errors.Is(err, broken) || macs != nil {
		t.Errorf("%v, %v", macs, err)
	}
	h.closed()
}

// Every lookup of an address gets every answer, and ends by itself.
func TestConcurrentResolves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t, 8)
		results := make(chan inquiry, 4)
		for i := range 3 {
			time.AfterFunc(time.Duration(i)*20*time.Millisecond, func() { results <- resolved(t.Context(), h, nas4) })
		}
		time.AfterFunc(0, func() { results <- resolved(t.Context(), h, tv4) })
		time.AfterFunc(50*time.Millisecond, func() { h.Handle(lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4)) })
		for i := range 3 {
			q := <-results
			if diff := cmp.Diff([]ether.MAC{nasMAC}, q.macs); q.err != nil || diff != "" {
				t.Errorf("lookup %d: %v, who answered (-want +got):\n%s", i, q.err, diff)
			}
			// They began at 0, 20 and 40 ms, and end at one moment, in any order.
			last := 50*time.Millisecond + 3*resolveLinger
			if took := last - q.took; took < 0 || took > 40*time.Millisecond {
				t.Errorf("lookup %d took %v", i, q.took)
			}
		}
		if q := <-results; q.err != nil || q.macs != nil || q.took != 3*resolvePause {
			t.Errorf("the lookup of another address: %v, %v after %v", q.macs, q.err, q.took)
		}
		h.closed()
	})
}

// A flood of answers neither blocks the reader nor grows without bound.
func TestResolveFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t, 8)
		flood := make([]answer, 0, 100)
		for i := range 100 {
			flood = append(flood, answer{time.Millisecond, lantest.ARPReply(ether.MAC{2, 1, 0, 0, 0, byte(i)}, lantest.PorterMAC, nas4, porter4)})
		}
		q := resolved(t.Context(), h, nas4, flood...)
		if q.err != nil || len(q.macs) != maxAnswers || q.took != time.Millisecond+3*resolveLinger {
			t.Errorf("%d hosts answered, %v after %v", len(q.macs), q.err, q.took)
		}
		answers, done := h.resolver.subscribe(nas4)
		began := time.Now()
		for _, a := range flood {
			h.Handle(a.p) // they are not taken
		}
		if len(answers) != cap(answers) || time.Since(began) != 0 {
			t.Errorf("%d of %d answers wait, the reader was held up for %v", len(answers), cap(answers), time.Since(began))
		}
		done()
		h.closed()
	})
}

// BenchmarkResolve is an answer to an open question.
func BenchmarkResolve(b *testing.B) {
	h, _ := benchFixture(b)
	answers, done := h.resolver.subscribe(free4)
	defer done()
	p := lantest.ARPReply(clientMAC, lantest.PorterMAC, free4, porter4)
	for b.Loop() {
		h.Handle(p)
		<-answers
	}
}
