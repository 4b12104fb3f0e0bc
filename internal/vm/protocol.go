package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
)

// errHungUp means that the connection is closed.
var errHungUp = errors.New("the other side has closed the connection")

// A peer is a connection with one JSON object a line: to QEMU's monitor (QMP), or to the
// agent in the machine, which sends no events.
type peer struct {
	conn    net.Conn
	onEvent func(name string, data json.RawMessage)
	ended   chan struct{} // closed when the connection is closed

	mu      sync.Mutex // guards the fields below
	last    int        // id of the last command
	waiting map[int]chan<- reply
}

// A reply is a message from QEMU, with the fields that are used.
type reply struct {
	ID     int             `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *replyError     `json:"error"`
	Event  string          `json:"event"`
	Data   json.RawMessage `json:"data"`
}

type replyError struct {
	Description string `json:"desc"`
}

// newPeer reads from a connection until it is closed. It calls onEvent for one event at a
// time, in a goroutine of its own.
func newPeer(conn net.Conn, onEvent func(name string, data json.RawMessage)) *peer {
	p := &peer{conn: conn, onEvent: onEvent, ended: make(chan struct{}), waiting: make(map[int]chan<- reply)}
	go p.read()
	return p
}

func (p *peer) read() {
	defer close(p.ended)
	lines := bufio.NewReader(p.conn)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		r, ok := parseReply(line)
		switch {
		case !ok:
		case r.Event != "":
			p.onEvent(r.Event, r.Data)
		default:
			p.deliver(r)
		}
	}
}

// parseReply parses one line. It reports false for a line that is neither reply nor event,
// such as the monitor's greeting or the rest of a line after a reset.
func parseReply(line []byte) (reply, bool) {
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return reply{}, false
	}
	return r, r.Event != "" || r.ID != 0
}

// deliver passes a reply to the call that waits for it, if any.
func (p *peer) deliver(r reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.waiting[r.ID]; ok {
		delete(p.waiting, r.ID)
		c <- r
	}
}

// call sends a command and decodes its result into result, which may be nil.
func (p *peer) call(ctx context.Context, command string, arguments, result any) error {
	answer := make(chan reply, 1)
	p.mu.Lock()
	p.last++
	id := p.last
	p.waiting[id] = answer
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiting, id)
	}()
	if err := p.send(id, command, arguments); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	select {
	case r := <-answer:
		return r.decode(command, result)
	case <-p.ended:
		return fmt.Errorf("%s: %w", command, errHungUp)
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer: %w", command, context.Cause(ctx))
	}
}

func (p *peer) send(id int, command string, arguments any) error {
	b, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        int    `json:"id"`
	}{command, arguments, id})
	if err != nil {
		return err
	}
	_, err = p.conn.Write(append(b, '\n'))
	return err
}

func (r reply) decode(command string, result any) error {
	if r.Error != nil {
		return fmt.Errorf("%s: refused: %s", command, r.Error.Description)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(r.Return, result); err != nil {
		return fmt.Errorf("%s: returned %s: %w", command, r.Return, err)
	}
	return nil
}

// close ends the connection and waits for its goroutine.
func (p *peer) close() {
	p.conn.Close() // the connection is not used any more
	<-p.ended
}
