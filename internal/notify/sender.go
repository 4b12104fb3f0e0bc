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
	tryTimeout = 30 * time.Second
	backlog    = 64 // messages that wait for one target: those of an hour at the highest rate
)

// pauses are the times before each try. They span a failure of the network of ten minutes.
func pauses() []time.Duration {
	return []time.Duration{0, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
}

var (
	errSlow = fmt.Errorf("no answer within %s", tryTimeout)
	errBusy = errors.New("an earlier try has not ended yet")
)

// sender sends messages to one target, one after the other.
type sender struct {
	target  notifyconf.Target
	deliver func(Message) error
	queue   chan Message
	count   func(Outcome)
	log     *slog.Logger
	stop    context.CancelFunc

	undelivered atomic.Int64 // messages since the last that was delivered
	pending     chan error   // result of a try that timed out and still runs; nil: none
}

// enqueue queues a message, or drops it if too many wait already.
func (c *sender) enqueue(m Message) {
	select {
	case c.queue <- m:
	default:
		c.fail(m, fmt.Errorf("%d messages wait already", backlog))
	}
}

// run sends until ctx ends.
func (c *sender) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			c.drop()
			return
		case m := <-c.queue:
			c.send(ctx, m)
		}
	}
}

// drop counts and logs the messages that will not be sent.
func (c *sender) drop() {
	for {
		select {
		case m := <-c.queue:
			c.fail(m, errors.New("stopping"))
		default:
			return
		}
	}
}

// send tries until a message is delivered, or all tries failed.
func (c *sender) send(ctx context.Context, m Message) {
	lost := c.undelivered.Load()
	sent := m
	if lost > 0 {
		sent.Text += fmt.Sprintf("\nEarlier messages that were not delivered: %d.", lost)
	}
	var err error
	for i, pause := range pauses() {
		if i > 0 {
			c.log.Warn("notification failed, retrying", "event", "notification_delayed", "target", c.target, "title", m.Title, "err", err, "again_in", pause)
		}
		if !wait.For(ctx, pause) {
			break
		}
		if err = c.try(ctx, sent); err == nil {
			c.undelivered.Add(-lost)
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

func (c *sender) fail(m Message, err error) {
	c.undelivered.Add(1)
	c.count(Failed)
	c.log.Error("notification failed", "event", "notification_failed", "target", c.target, "title", m.Title, "err", err)
}

// try delivers a message within tryTimeout. The library cannot be interrupted: a try that takes
// longer goes on, and the next one waits for its end, so that there is never more than one.
func (c *sender) try(ctx context.Context, m Message) error {
	limit := time.NewTimer(tryTimeout)
	defer limit.Stop()
	if c.pending != nil {
		select {
		case <-c.pending:
			c.pending = nil
		case <-limit.C:
			return errBusy
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan error, 1)
	go func() { done <- c.deliver(m) }()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		c.pending = done
		return errSlow
	case <-ctx.Done():
		c.pending = done
		return ctx.Err()
	}
}

// Try sends a message to each target, in parallel and once. It returns within half a minute the
// error of each, nil if the message was delivered.
func Try(ctx context.Context, targets []notifyconf.Target, m Message) []error {
	results := make([]error, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() {
			c := sender{deliver: newDelivery(t).deliver}
			results[i] = c.try(ctx, m)
		})
	}
	all.Wait()
	return results
}
