package lab

import (
	"context"
	"fmt"
	"slices"
)

// Frames returns what was recorded so far, in the order of passing.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.frames)
}

// Wait returns the first recorded frame that match accepts, and waits for it
// if there is none yet. It fails when ctx or the capture ends before.
func (c *Capture) Wait(ctx context.Context, match func(Frame) bool) (Frame, error) {
	for seen := 0; ; {
		frames, changed, ended := c.since(seen)
		for _, f := range frames {
			if match(f) {
				return f, nil
			}
		}
		seen += len(frames)
		if ended != nil {
			return Frame{}, fmt.Errorf("wait for a frame, none of %d is it: %w", seen, ended)
		}
		select {
		case <-ctx.Done():
			return Frame{}, fmt.Errorf("wait for a frame, none of %d is it: %w", seen, context.Cause(ctx))
		case <-changed:
		}
	}
}

// since returns the frames from index on, the signal of the next one, and why
// there will be none.
func (c *Capture) since(index int) ([]Frame, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames[index:len(c.frames):len(c.frames)], c.changed, c.err
}

// Close ends the capture and returns how many frames it missed, for lack of
// room. What was recorded stays readable.
func (c *Capture) Close() (missed int) {
	c.cancel()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}
