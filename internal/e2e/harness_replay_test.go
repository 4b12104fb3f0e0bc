package e2e

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"nightporter/internal/lab"
)

// served is how a machine came to answer a call, according to two captures.
type served struct {
	sent     []lab.Frame   // the SYNs that the client sent
	got      []lab.Frame   // the SYNs that the machine got
	answered lab.Frame     // the SYN that it answered
	sinceOwn time.Duration // from the client's last SYN before that one
}

// readServed finds out how a call was served, from the captures at the client's and at the
// machine's port.
func readServed(ctx context.Context, h *harness, c *call, client, nas *lab.Capture) (s served, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answer, err := nas.Wait(ctx, func(f lab.Frame) bool { return f.Outgoing && isSegment(f, c.to, c.from, flagSYN|flagACK) })
	if err != nil {
		return s, fmt.Errorf("the machine's SYN-ACK: %w", err)
	}
	// By then the other capture has all SYNs of the client.
	if _, err := client.Wait(ctx, func(f lab.Frame) bool { return f.Outgoing && isSegment(f, c.from, c.to, flagACK) }); err != nil {
		return s, fmt.Errorf("the client's answer to that: %w", err)
	}
	for _, f := range nas.Frames() {
		if !f.Outgoing && isSegment(f, c.from, c.to, flagSYN) {
			s.got = append(s.got, f)
			if !f.Time.After(answer.Time) {
				s.answered = f
			}
		}
	}
	s.sinceOwn = -1
	for _, f := range client.Frames() {
		// If the client is a program of the porter's host, its capture has the replay too.
		replay := f.Src() == h.lan.Porter().MAC() && f.Dst() == s.answered.Dst()
		if f.Outgoing && isSegment(f, c.from, c.to, flagSYN) && !replay {
			s.sent = append(s.sent, f)
			if !f.Time.After(s.answered.Time) {
				s.sinceOwn = s.answered.Time.Sub(f.Time)
			}
		}
	}
	if len(s.got) == 0 || len(s.sent) == 0 {
		return s, fmt.Errorf("the captures have %d SYNs of the client and %d at the machine, want both", len(s.sent), len(s.got))
	}
	return s, nil
}

// replayed returns an error unless the machine answered a SYN that the porter had held: the SYN
// came in a frame of the porter, is the last of the client, and was sent at least 50 ms before.
// A younger SYN might only have been forwarded.
func (s served) replayed(porter *lab.Host) error {
	if by := s.answered.Src(); by != porter.MAC() {
		return fmt.Errorf("the machine answered a SYN from %v, want the porter's %v", by, porter.MAC())
	}
	if s.sinceOwn < 50*time.Millisecond {
		return fmt.Errorf("the machine answered a SYN that the client had sent %v before: passed on, not replayed", s.sinceOwn)
	}
	// A repeated SYN has a new timestamp (RFC 7323 section 3).
	if last := s.sent[len(s.sent)-1]; !bytes.Equal(segmentOf(last), segmentOf(s.answered)) {
		return fmt.Errorf("the machine answered the SYN %x, and the client's last is %x", segmentOf(s.answered), segmentOf(last))
	}
	return nil
}
