package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"nightporter/internal/journal"
)

// ErrStreamEnded says that the porter follows no more: it stopped, or the client
// was too slow for it.
var ErrStreamEnded = errors.New("the porter closed the event stream")

// Events returns events that have been, oldest first.
func (c *Client) Events(ctx context.Context, q EventQuery) ([]journal.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	body, err := c.send(ctx, q.apiRequest(jsonType))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var all []journal.Event
	if err := json.NewDecoder(io.LimitReader(body, maxListBytes)).Decode(&all); err != nil {
		return nil, c.failed("cannot read the events", err)
	}
	return all, nil
}

// Follow calls each with the events that q asks for and then with every new one,
// in the order of their Seq. It ends with an error: that of each, the end of ctx
// as context.Canceled, ErrStreamEnded, or what is wrong.
func (c *Client) Follow(ctx context.Context, q EventQuery, each func(journal.Event) error) error {
	body, err := c.send(ctx, q.apiRequest(eventStream))
	if err != nil {
		return err
	}
	defer body.Close()
	switch err := c.pass(body, each); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil || errors.Is(err, io.ErrUnexpectedEOF): // the latter if it was cut off
		return ErrStreamEnded
	default:
		return err
	}
}

// pass calls each with the events of a stream until it ends.
func (c *Client) pass(body io.Reader, each func(journal.Event) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEventBytes)
	for lines.Scan() {
		// The server writes each event's data in one line; all else is for browsers.
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !ok {
			continue
		}
		var e journal.Event
		if err := json.Unmarshal(data, &e); err != nil {
			return c.failed("cannot read an event", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return c.failed("connection to the porter lost", err)
	}
	return nil
}
