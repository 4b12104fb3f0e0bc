package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"nightporter/internal/notifyconf"
	"nightporter/internal/wait"
)

const (
	patience = 30 * time.Second // with one try
	backlog  = 64               // messages that wait for one target: those of an hour, at the highest rate
)

// pauses go before each try: a network that is down in the night may be up again
// ten minutes later.
func pauses() []time.Duration {
	return []time.Duration{0, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
}

var (
	errSlow = fmt.Errorf("no answer within %s", patience)
	errBusy = errors.New("an earlier try has not ended yet")
)

// courier carries messages to one target, one after the other.
type courier struct {
	target notifyconf.Target
	put    func(Message) error
	queue  chan Message
	count  func(Outcome)
	log    *slog.Logger
	stop   context.CancelFunc

	lost   atomic.Int64 // since the last that got through
	trying chan error   // of a try that was not waited for to the end; nil: there is none
}

// offer gives the courier a message, unless too many wait already.
func (c *courier) offer(m Message) {
	select {
	case c.queue <- m:
	default:
		c.fail(m, fmt.Errorf("%d messages wait already", backlog))
	}
}

// run carries until ctx ends.
func (c *courier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			c.leave()
			return
		case m := <-c.queue:
			c.carry(ctx, m)
		}
	}
}

// leave accounts for what is not going to be sent.
func (c *courier) leave() {
	for {
		select {
		case m := <-c.queue:
			c.fail(m, errors.New("stopping"))
		default:
			return
		}
	}
}

// carry tries until a message is delivered, or given up.
func (c *courier) carry(ctx context.Context, m Message) {
	lost := c.lost.Load()
	sent := m
	if lost > 0 {
		sent.Text += fmt.Sprintf("\nMessages before this that did not get through: %d.", lost)
	}
	var err error
	for i, pause := range pauses() {
		if i > 0 {
			c.log.Warn("notification not delivered yet", "event", "notification_delayed", "target", c.target, "title", m.Title, "err", err, "again_in", pause)
		}
		if !wait.For(ctx, pause) {
			break
		}
		if err = c.try(ctx, sent); err == nil {
			c.lost.Add(-lost)
			c.count(Sent)
			c.log.Info("notification sent", "event", "notification_sent", "target", c.target, "title", m.Title)
			return
		}
	}
	if ctx.Err() != nil {
		err = errors.New("stopping")
	}
	c.fail(m, err)
}

func (c *courier) fail(m Message, err error) {
	c.lost.Add(1)
	c.count(Failed)
	c.log.Error("notification not delivered", "event", "notification_failed", "target", c.target, "title", m.Title, "err", err)
}

// try delivers a message, or says why not within the time there is for a try. The
// library cannot be told to stop: a try that takes longer is left alone, and ended
// before the next begins, so that there is never more than one.
func (c *courier) try(ctx context.Context, m Message) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	if c.trying != nil {
		select {
		case <-c.trying:
			c.trying = nil
		case <-limit.C:
			return errBusy
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan error, 1)
	go func() { done <- c.put(m) }()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		c.trying = done
		return errSlow
	case <-ctx.Done():
		c.trying = done
		return ctx.Err()
	}
}

// Try sends a message to each target, all at once and without trying again. It
// returns within half a minute what each said, nil where the message got through.
func Try(ctx context.Context, targets []notifyconf.Target, m Message) []error {
	said := make([]error, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() {
			c := courier{put: newMailbox(t).put}
			said[i] = c.try(ctx, m)
		})
	}
	all.Wait()
	return said
}
