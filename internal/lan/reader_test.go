package lan_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/waittest"

	"github.com/jsimonetti/rtnetlink/v2"

	"nightporter/internal/lan"
)

// run starts the reader, and stops it when the test ends. The error of Run comes
// by the channel.
func run(tb testing.TB, i *lan.Interface, handle func(*lan.Packet)) (stop func(), ended <-chan error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result, finished := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(finished)
		result <- i.Run(ctx, handle)
	}()
	tb.Cleanup(func() {
		cancel()
		select {
		case <-finished:
		case <-time.After(patience):
			tb.Errorf("the reader did not end within %v", patience)
		}
	})
	return cancel, result
}

// receive takes what comes by ch, or ends the test.
func receive[T any](tb testing.TB, what string, ch <-chan T) T {
	tb.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		tb.Fatalf("not within %v: %s", patience, what)
		panic("unreachable")
	}
}

// TestHotPathAllocatesNothing sends frames from one interface to the other.
func TestHotPathAllocatesNothing(t *testing.T) {
	porter, client := neighbors(t)
	from, to := porter.open("porter0"), client.open("client0")
	seen := make(chan struct{}, 1)
	run(t, to, func(p *lan.Packet) {
		if p.Src == sleepyMAC {
			seen <- struct{}{}
		}
	})
	frames, err := lan.Announcement(sleepyMAC, ether.Broadcast, sleepyMAC, sleepy4, none, none)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	lost := 0
	allocations := testing.AllocsPerRun(1000, func() {
		if from.Send(frames[0]) != nil {
			lost++
			return
		}
		select {
		case <-seen:
		case <-deadline.C:
			lost++
		}
	})
	if lost > 0 {
		t.Fatalf("%d frames did not come through", lost)
	}
	if allocations != 0 {
		t.Errorf("%v allocations for each frame sent and received, want 0", allocations)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	porter, _ := neighbors(t)
	i := porter.open("porter0")
	for range 3 { // the socket serves again after each
		stop, ended := run(t, i, func(*lan.Packet) {})
		stop()
		if err := receive(t, "the end of Run", ended); err != nil {
			t.Errorf("error %v, want none", err)
		}
	}
}

func TestRunEndsWithTheSocket(t *testing.T) {
	porter, client := neighbors(t)
	i := porter.open("porter0")
	seen := make(chan struct{}, 1000)
	_, ended := run(t, i, func(*lan.Packet) { seen <- struct{}{} })
	frames, err := lan.Announcement(clientMAC, ether.Broadcast, clientMAC, sleepy4, none, none)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.open("client0").Send(frames[0]); err != nil {
		t.Fatal(err)
	}
	receive(t, "a frame", seen)
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "the end of Run", ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v from a reader, want one that the interface is closed", err)
	}
	for name, err := range map[string]error{
		"leave": i.LeaveSolicitedNode(sleepy6),
		"send":  i.Send(frames[0]),
		"set":   i.SetInterest(lan.Interest{}),
		"run":   i.Run(t.Context(), func(*lan.Packet) {}),
		"close": i.Close(),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: error %v, want one that the interface is closed", name, err)
		}
	}
}

// logText is a log that may be read while it is written.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func TestRunSurvivesALinkThatIsDown(t *testing.T) {
	porter, client := neighbors(t)
	var text logText
	i, peer := porter.openWith("porter0", slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))), client.open("client0")
	seen := make(chan ether.MAC, 1000)
	_, ended := run(t, i, func(p *lan.Packet) { seen <- p.SenderMAC })
	for round := range byte(3) {
		porter.setUp("porter0", false)
		porter.setUp("porter0", true)
		mark := ether.MAC{2, 0xaa, 0, 0, 0, round}
		frames, err := lan.Announcement(clientMAC, ether.Broadcast, mark, sleepy4, none, none)
		if err != nil {
			t.Fatal(err)
		}
		waittest.Until(t, "a frame after the link was down", func() bool {
			_ = peer.Send(frames[0]) // fails while the link is not ready
			select {
			case got := <-seen:
				return got == mark
			default:
				return false
			}
		})
		waittest.Until(t, "two lines in the log", func() bool {
			return text.count(`"the link is down"`) == int(round)+1 && text.count(`"the link is up again"`) == int(round)+1
		})
	}
	select {
	case err := <-ended:
		t.Errorf("the reader ended: %v", err)
	default:
	}
}

func TestRunEndsWhenTheInterfaceIsGone(t *testing.T) {
	for name, downFirst := range map[string]bool{"at once": false, "after it was down": true} {
		t.Run(name, func(t *testing.T) {
			porter, _ := neighbors(t)
			i := porter.open("porter0")
			_, ended := run(t, i, func(*lan.Packet) {})
			if downFirst {
				porter.setUp("porter0", false)
			}
			porter.netlink(func(c *rtnetlink.Conn) error { return c.Link.Delete(uint32(i.Index())) })
			err := receive(t, "the end of Run", ended)
			if err == nil || !strings.Contains(err.Error(), "interface porter0: read: the interface is gone") {
				t.Errorf("error %v, want one that the interface is gone", err)
			}
		})
	}
}

func TestDrops(t *testing.T) {
	porter, client := neighbors(t)
	i, peer := porter.open("porter0"), client.open("client0")
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	run(t, i, func(*lan.Packet) {
		select {
		case held <- struct{}{}:
		default:
		}
		<-hold
	})
	if got := i.Drops(); got != 0 {
		t.Errorf("%d drops before anything was sent", got)
	}
	frames, err := lan.Announcement(clientMAC, ether.Broadcast, clientMAC, sleepy4, none, none)
	if err != nil {
		t.Fatal(err)
	}
	// The receive buffer holds some ten thousand small frames.
	for range 60_000 {
		if err := peer.Send(frames[0]); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, "the first frame", held)
	var before uint64
	waittest.Until(t, "dropped frames", func() bool {
		before = i.Drops()
		return before > 0
	})
	if after := i.Drops(); after < before {
		t.Errorf("%d drops, then %d: the count went back", before, after)
	}
	close(hold)
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if after := i.Drops(); after < before {
		t.Errorf("%d drops, and %d after Close", before, after)
	}
}
