package registration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"nightporter/internal/wait"
)

// Wire is a registration as JSON. The porter fills in absent fields.
type Wire struct {
	MAC        string        `json:"mac"`
	Name       string        `json:"name,omitempty"`
	Monitor    []WireAddress `json:"monitor,omitempty"`
	Token      string        `json:"token,omitempty"`
	IdleWatts  *float64      `json:"idle_watts,omitempty"`
	SleepWatts *float64      `json:"sleep_watts,omitempty"`
	Password   string        `json:"password,omitempty"`
	WakeFrom   []string      `json:"wake_from,omitempty"`
	WakeMAC    string        `json:"wake_mac,omitempty"`
	Watch      bool          `json:"watch,omitempty"` // up, to be watched; not about to sleep
	Trial      bool          `json:"check,omitempty"` // check only, see Try
}

// WireAddress is one address of a Wire. Port must not be nil: an empty list claims the
// address, but no packet wakes.
type WireAddress struct {
	IP   string     `json:"ip"`
	Port []WirePort `json:"port"`
}

// WirePort is one port in any form that machine.ParsePort reads.
type WirePort string

// MarshalJSON writes a bare number as a number, as the older tool expects it.
func (p WirePort) MarshalJSON() ([]byte, error) {
	if p != "" && strings.Trim(string(p), "0123456789") == "" && p[0] != '0' {
		return []byte(p), nil
	}
	return json.Marshal(string(p))
}

// ParseMonitor reads "IP=PORT,PORT" ("192.168.1.5=22,51820/udp"), or an address alone.
// Wire.Check checks the parts.
func ParseMonitor(s string) WireAddress {
	ip, list, _ := strings.Cut(s, "=")
	return WireAddress{IP: strings.TrimSpace(ip), Port: ParsePorts(list)}
}

// ParsePorts splits a list of ports at its commas. The result is never nil.
func ParsePorts(list string) []WirePort {
	ports := []WirePort{}
	for p := range strings.SplitSeq(list, ",") {
		if p = strings.TrimSpace(p); p != "" {
			ports = append(ports, WirePort(p))
		}
	}
	return ports
}

// Check returns the error that the porter would find by reading w.
func (w Wire) Check() error {
	body, err := json.Marshal(w)
	if err != nil {
		return err
	}
	_, err = Decode(body, Defaults{IdleWatts: maxWatts})
	return err
}

// Rejection is the porter's answer when it is not OK.
type Rejection struct{ Answer string }

// Error returns the answer.
func (r *Rejection) Error() string { return "the porter refused: " + r.Answer }

// Temporary reports whether the same registration may be accepted later.
func (r *Rejection) Temporary() bool { return strings.HasSuffix(r.Answer, tryAgain) }

// Send registers w with the porter at addr ("host:port"), once. The error is a
// *Rejection if the porter answered.
func Send(ctx context.Context, addr string, w Wire) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return exchange(ctx, conn, w)
}

// Times of SendRetry. The pauses are short, because a machine waits for the answer before it
// goes to sleep.
const (
	firstPause   = 250 * time.Millisecond
	lastPause    = time.Second
	shortestSend = time.Second // of an attempt, if ctx allows it
)

// SendRetry is Send with up to retries further attempts, or with any number if retries is
// negative, until ctx ends. It tries again if the porter could not be reached, did not answer,
// closed the connection, or answered "try again"; another refusal is final. An attempt that is
// not the last one takes at most half of the time until the deadline of ctx, so that a porter
// that is silent at first does not use up all of it. The pauses are random, so that machines
// that were refused together do not come back together.
func SendRetry(ctx context.Context, addr string, w Wire, retries int) error {
	pause := firstPause
	var last *Rejection
	for left := retries; ; left-- {
		err := attempt(ctx, addr, w, left != 0)
		var r *Rejection
		if err == nil || left == 0 || errors.As(err, &r) && !r.Temporary() {
			return err
		}
		if r != nil {
			last = r
		} else if last != nil && ctx.Err() != nil {
			err = last // the answer says more than the deadline
		}
		if !wait.For(ctx, pause/2+rand.N(pause/2)) {
			return fmt.Errorf("no time left to try again: %w", err)
		}
		pause = min(2*pause, lastPause)
	}
}

// attempt is one Send of SendRetry. more is false for the last one.
func attempt(ctx context.Context, addr string, w Wire, more bool) error {
	if deadline, ok := ctx.Deadline(); ok && more {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(time.Until(deadline)/2, shortestSend))
		defer cancel()
	}
	return Send(ctx, addr, w)
}

// exchange sends w, reads the answer and closes conn.
func exchange(ctx context.Context, conn net.Conn, w Wire) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0)) // fails only on a closed connection
	})()
	body, err := json.Marshal(w)
	if err != nil {
		return err
	}
	// A porter that refuses a connection answers without reading, so an answer may follow a
	// failed write.
	_, writeErr := conn.Write(body)
	reply, readErr := io.ReadAll(io.LimitReader(conn, 1024))
	switch {
	case string(reply) == okAnswer:
		return nil
	case len(reply) > 0:
		return &Rejection{Answer: oneLine(string(reply))}
	case ctx.Err() != nil:
		return fmt.Errorf("the porter at %s did not answer in time: %w", conn.RemoteAddr(), ctx.Err())
	}
	err = errors.Join(writeErr, readErr)
	if err == nil {
		err = io.EOF
	}
	return fmt.Errorf("the porter at %s closed the connection without an answer: %w", conn.RemoteAddr(), err)
}
