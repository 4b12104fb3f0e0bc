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

// colors are the ANSI colors of the participants.
var colors = map[string]string{"porter": "\x1b[36m", "nas": "\x1b[33m", "client": "\x1b[32m", "lan": "\x1b[90m"}

const (
	bold  = "\x1b[1m"
	plain = "\x1b[0m"
)

// timeline prints each step with the time since the demo began.
type timeline struct {
	inOrder
	color   bool
	start   time.Time
	logRead atomic.Int64 // how many entries of the daemon's log are printed
}

func newTimeline(out io.Writer, color bool) *timeline {
	return &timeline{inOrder: inOrder{out: out}, color: color, start: time.Now()}
}

// say prints a step of a participant that happens now.
func (t *timeline) say(who, format string, args ...any) {
	t.sayAt(time.Now(), who, fmt.Sprintf(format, args...))
}

// sayAt prints a step of a participant that happened at a time.
func (t *timeline) sayAt(at time.Time, who, what string) {
	begin, end := "", ""
	if t.color {
		begin, end = colors[who], plain
	}
	t.put(at, fmt.Sprintf("%8.3fs  %s%-7s%s %s", at.Sub(t.start).Seconds(), begin, who, end, what))
}

// title prints a heading.
func (t *timeline) title(text string) {
	if t.color {
		text = bold + text + plain
	}
	t.line("\n" + text)
}

func (t *timeline) line(text string) { t.put(time.Now(), text) }

// follow prints the daemon's log and the machine's events until ctx ends. It closes the
// channel when it has stopped.
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
			t.logRead.Store(int64(seen) + 1)
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

// caughtUp waits until n entries of the daemon's log are printed.
func (t *timeline) caughtUp(ctx context.Context, n int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for t.logRead.Load() < int64(n) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// porterText is the step of a log entry of the daemon. It is empty for an entry that is no
// step.
func porterText(e labdaemon.Entry) string {
	switch e.Event() {
	case "moved":
		return moveText(e)
	case "magic":
		return "magic packets, round " + e.Field("attempt")
	case "replayed":
		return "replay: sends the client's SYN, held since the knock"
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

// moveText is the step of a state change of the machine.
func moveText(e labdaemon.Entry) string {
	reason := e.Field("reason")
	switch e.Field("to") {
	case machine.Settling.String():
		return "settle: probes the machine until it is silent (" + reason + ")"
	case machine.Asleep.String():
		if reason != string(machine.WhySilent) {
			return "the wake failed: " + reason
		}
		return "claim: the machine is silent, so the porter answers ARP and NDP for it and announces its addresses"
	case machine.Waking.String():
		if knock := e.Field("knock"); knock != "" {
			return "knock: " + knock
		}
		return "wakes: " + reason
	case machine.Arriving.String():
		return fmt.Sprintf("first frame from the machine, %v after the magic packet", e.Duration("after"))
	}
	return fmt.Sprintf("release: %s after %v, the machine answers for its addresses again (%s)", e.Field("machine"), e.Duration("ready"), reason)
}

// machineText is the step of an event of the machine. It is empty for an event that is no
// step.
func machineText(e lab.Event) string {
	switch e.Kind {
	case lab.AsleepNow:
		return "is asleep: it answers nothing, its network card waits for a magic packet"
	case lab.PoweredOn:
		return "powers on (" + e.Detail + ")"
	case lab.NetworkUp:
		return "network is up, duplicate address detection passed, announces its addresses; its service is still starting"
	case lab.DADFailed:
		return "finds its address " + e.Addr.String() + " in use by another host"
	case lab.ServiceUp:
		return "listens on " + e.Service.String()
	case lab.Accepted:
		return "accepts " + e.Remote.String()
	case lab.Failed:
		return "fails: " + e.Detail
	}
	return ""
}
