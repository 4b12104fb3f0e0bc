package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/wait"
	"nightporter/internal/web"
)

// exitNotReady is the exit code of a wake that did not end within --wait, or that ended
// before all services were ready.
const exitNotReady exitCode = 2

// wakeWait follows one wake. It is made before the wake is requested.
type wakeWait struct {
	client *web.Client
	name   string
	show   func(journal.Event) error
	began  time.Time
	since  uint64 // sequence number of the last event before the request
}

// wakeOutcome is how a wake went, as --json prints it.
type wakeOutcome struct {
	Machine  string         `json:"machine"`
	Awake    bool           `json:"awake"`               // and its services are ready
	NotReady []string       `json:"not_ready,omitempty"` // services of a machine that answers
	Seconds  float64        `json:"seconds"`             // since the request
	HeardAt  string         `json:"heard_at,omitempty"`  // RFC 3339, if the machine counted as awake at the request
	Event    *journal.Event `json:"event"`               // that ended the wake; null: the machine was awake, or the time ran out

	unconfirmed bool // the machine counts as awake, but was not heard after the request
}

// replyPause is the time between two reads of a machine that counts as awake.
const replyPause = 200 * time.Millisecond

// noteLastEvent notes the last event, so that following starts with the next one.
func (w *wakeWait) noteLastEvent(ctx context.Context) error {
	last, err := w.client.Events(ctx, web.EventQuery{Limit: 1})
	if err == nil && len(last) > 0 {
		w.since = last[0].Seq
	}
	return err
}

// errWakeOver ends the stream of events once the wake is over.
var errWakeOver = errors.New("the wake is over")

// untilOver waits until the machine is awake, the wake has failed, or limit has passed since the
// request. m is the machine's state at the request.
func (w *wakeWait) untilOver(ctx context.Context, limit time.Duration, m web.Machine) (wakeOutcome, error) {
	limited, cancel := context.WithDeadline(ctx, w.began.Add(limit))
	defer cancel()
	done := wakeOutcome{Machine: w.name}
	m, err := w.awaitReply(limited, m)
	if m.State == machine.Awake {
		done.HeardAt, done.Awake, done.unconfirmed = m.HeardAt, err == nil, err != nil
	} else if err == nil {
		err = w.follow(limited, &done)
	}
	done.Seconds = time.Since(w.began).Round(time.Millisecond).Seconds()
	if err == nil || ctx.Err() != nil || limited.Err() == nil {
		return done, err
	}
	return done, w.readUnready(ctx, &done)
}

// awaitReply waits until a machine that counts as awake was heard after the request, or is in
// another state. If the porter cannot probe the machine, a frame that it sends counts.
func (w *wakeWait) awaitReply(ctx context.Context, m web.Machine) (web.Machine, error) {
	for before := m.HeardAt; m.State == machine.Awake && m.Inquiry != machine.InquiryAnswered; {
		if m.Inquiry == machine.NoInquiry && m.HeardAt != before {
			break
		}
		if !wait.For(ctx, replyPause) {
			return m, ctx.Err()
		}
		next, err := w.client.Machine(ctx, w.name)
		if err != nil {
			return m, err
		}
		m = next
	}
	return m, nil
}

// follow shows the events of the machine until it is awake or the wake has failed.
func (w *wakeWait) follow(ctx context.Context, done *wakeOutcome) error {
	err := w.client.Follow(ctx, web.EventQuery{Since: &w.since, Machine: w.name}, func(e journal.Event) error {
		if err := w.show(e); err != nil {
			return err
		}
		switch e.Kind {
		case journal.Ready, journal.Awake, journal.ExternalStart:
			done.Awake, done.NotReady, done.Event = len(e.NotReady) == 0, e.NotReady, &e
			return errWakeOver
		case journal.Failed, journal.Forgotten:
			done.Event = &e
			return errWakeOver
		default:
			return nil
		}
	})
	if errors.Is(err, errWakeOver) {
		return nil
	}
	return err
}

// readUnready notes the services that the porter still waits for.
func (w *wakeWait) readUnready(ctx context.Context, done *wakeOutcome) error {
	m, err := w.client.Machine(ctx, w.name)
	if err == nil && m.Arrival != nil {
		done.NotReady = m.Arrival.NotReady
	}
	return err
}

// text is the outcome in words.
func (o wakeOutcome) text() string {
	switch {
	case o.unconfirmed:
		return fmt.Sprintf("counts as awake, but was not heard for %.1f s after the magic packet (%s)", o.Seconds, lastHeard(o.HeardAt))
	case o.Awake && o.Event == nil:
		return fmt.Sprintf("is awake: it counted as awake, and was heard %.1f s after the request; its services were not checked", o.Seconds)
	case o.Awake:
		return fmt.Sprintf("is awake after %.1f s", o.Seconds)
	case len(o.NotReady) > 0:
		return fmt.Sprintf("answers, but after %.1f s %s", o.Seconds, web.NotReady(o.NotReady))
	case o.Event == nil:
		return fmt.Sprintf("is not awake after %.1f s", o.Seconds)
	case o.Event.Kind == journal.Failed:
		return web.InWords(*o.Event)
	default:
		return fmt.Sprintf("is not awake: %s", web.InWords(*o.Event))
	}
}

// lastHeard says when a machine was last heard.
func lastHeard(at string) string {
	if at == "" {
		return "never heard"
	}
	return "last heard " + localTime(at)
}

// code returns nil, or the exit code of a wake that did not succeed.
func (o wakeOutcome) code() error {
	switch {
	case o.Awake:
		return nil
	case o.Event == nil || len(o.NotReady) > 0:
		return exitNotReady
	default:
		return exitCode(1)
	}
}
