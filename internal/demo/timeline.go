package demo

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// ANSI colours by who speaks.
var colors = map[string]string{"porter": "\x1b[36m", "nas": "\x1b[33m", "client": "\x1b[32m", "lan": "\x1b[90m"}

const (
	bold  = "\x1b[1m"
	plain = "\x1b[0m"
)

// timeline prints what happens, with the time since the demo began.
type timeline struct {
	inOrder
	color bool
	start time.Time
	told  atomic.Int64 // entries of the daemon's log that have been read
}

func newTimeline(out io.Writer, color bool) *timeline {
	return &timeline{inOrder: inOrder{out: out}, color: color, start: time.Now()}
}

// say prints that somebody does something now.
func (t *timeline) say(who, format string, args ...any) {
	t.sayAt(time.Now(), who, fmt.Sprintf(format, args...))
}

func (t *timeline) sayAt(at time.Time, who, what string) {
	begin, end := "", ""
	if t.color {
		begin, end = colors[who], plain
	}
	t.put(at, fmt.Sprintf("%8.3fs  %s%-7s%s %s", at.Sub(t.start).Seconds(), begin, who, end, what))
}

func (t *timeline) title(text string) {
	if t.color {
		text = bold + text + plain
	}
	t.line("\n" + text)
}

func (t *timeline) line(text string) { t.put(time.Now(), text) }

// follow tells what the daemon logs and what the machine does, until ctx ends.
// The channel is closed when it has stopped.
func (t *timeline) follow(ctx context.Context, d *labdaemon.Daemon, m *lab.Machine) <-chan struct{} {
	var wg sync.WaitGroup
	wg.Go(func() {
		for seen := 0; ; seen++ {
			e, err := d.Log.Wait(ctx, seen, func(labdaemon.Entry) bool { return true })
			if err != nil {
				return
			}
			if text := porterText(e); text != "" {
				if name := e.Field("machine"); name != "" && name != sleeper.Name {
					text = name + ": " + text
				}
				t.sayAt(e.Time, "porter", text)
			}
			t.told.Store(int64(seen) + 1)
		}
	})
	wg.Go(func() {
		for e := range m.Events(ctx) {
			if text := machineText(e); text != "" {
				t.sayAt(e.Time, "nas", text)
			}
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	return done
}

// caughtUp waits until n entries of the daemon's log have been told.
func (t *timeline) caughtUp(ctx context.Context, n int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for t.told.Load() < int64(n) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// porterText tells a log entry of the daemon in the words of the timeline;
// nothing for one that adds nothing to it.
func porterText(e labdaemon.Entry) string {
	switch e.Event() {
	case "moved":
		return moveText(e)
	case "magic":
		return "magic packets, round " + e.Field("attempt")
	case "replayed":
		return "replay: the client's own SYN, which has waited since the knock"
	}
	if e.Level == "WARN" || e.Level == "ERROR" {
		text := e.Level + ": " + e.Message
		if err := e.Field("err"); err != "" {
			text += ": " + err
		}
		return text
	}
	return ""
}

// moveText tells a transition of the machine.
func moveText(e labdaemon.Entry) string {
	reason := e.Field("reason")
	switch e.Field("to") {
	case machine.Settling.String():
		return "settle: probes the machine until it is silent (" + reason + ")"
	case machine.Asleep.String():
		if reason != string(machine.WhySilent) {
			return "gives up: " + reason
		}
		return "claim: the machine is silent, so the porter answers ARP and NDP for it, and announces that"
	case machine.Waking.String():
		if knock := e.Field("knock"); knock != "" {
			return "knock: " + knock
		}
		return "wakes: " + reason
	case machine.Arriving.String():
		return fmt.Sprintf("first frame from the machine, %v after the magic packet", e.Duration("after"))
	}
	return fmt.Sprintf("release: %s after %v, the addresses are the machine's own again (%s)", e.Field("machine"), e.Duration("ready"), reason)
}

func machineText(e lab.Event) string {
	switch e.Kind {
	case lab.AsleepNow:
		return "is asleep: no address, no ARP, nothing but a network card that waits for a magic packet"
	case lab.PoweredOn:
		return "powers on (" + e.Detail + ")"
	case lab.NetworkUp:
		return "network is up, duplicate address detection passed; announces its addresses; its service is still starting"
	case lab.DADFailed:
		return "finds its address " + e.Addr.String() + " in use by somebody else"
	case lab.ServiceUp:
		return "listens on " + e.Service.String()
	case lab.Accepted:
		return "accepts " + e.Remote.String()
	case lab.Failed:
		return "fails: " + e.Detail
	}
	return ""
}
