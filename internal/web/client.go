package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nightporter/internal/journal"
)

// DefaultPort is the port of http.listen.
const DefaultPort = "9717"

// Limits on a porter that is asked.
const (
	answerTimeout = 10 * time.Second
	maxErrorBytes = 4 << 10
	maxEventBytes = 64 << 10 // the texts of an event are bounded, and far below
	maxListBytes  = MaxEvents * maxEventBytes
)

// ErrStreamEnded says that the porter follows no more: it stopped, or the client
// was too slow for it.
var ErrStreamEnded = errors.New("the porter ended the stream of events")

// Client asks a porter for its events.
type Client struct {
	base *url.URL
	http *http.Client
}

// NewClient returns a client of the porter at from: a URL, or HOST, HOST:PORT,
// [IPV6]:PORT or an IPv6 address, to which DefaultPort is added. A user and
// password in the URL are for a porter that asks for them.
func NewClient(from string) (*Client, error) {
	base, err := parseBase(from)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = answerTimeout
	return &Client{base: base, http: &http.Client{Transport: transport}}, nil
}

func parseBase(from string) (*url.URL, error) {
	full := from
	if !strings.Contains(from, "://") {
		if _, _, err := net.SplitHostPort(from); err != nil && from != "" {
			full = net.JoinHostPort(strings.Trim(from, "[]"), DefaultPort)
		}
		// In a URL the zone of fe80::1%eth0 is written with %25 (RFC 6874 section 2).
		full = "http://" + strings.Replace(full, "%", "%25", 1)
	}
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("found %q, expected a URL such as http://porter:%s", from, DefaultPort)
	}
	u.RawQuery, u.Fragment = "", ""
	if _, err := url.Parse(u.String()); err != nil { // a zone that no URL can have
		return nil, fmt.Errorf("found %q, expected an address that fits into a URL", from)
	}
	return u, nil
}

// Close ends the connections that are kept for another question.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Events returns events that have been, oldest first.
func (c *Client) Events(ctx context.Context, q EventQuery) ([]journal.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	body, err := c.get(ctx, q, "application/json")
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
	body, err := c.get(ctx, q, eventStream)
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
		return c.failed("lost the porter", err)
	}
	return nil
}

// get returns the body of an answer that is as expected.
func (c *Client) get(ctx context.Context, q EventQuery, accept string) (io.ReadCloser, error) {
	u := c.base.JoinPath("api/v1/events")
	u.RawQuery = q.encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", accept)
	resp, err := c.http.Do(r)
	if err != nil {
		var wrapped *url.Error // it repeats the address
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, c.failed("cannot reach the porter", err)
	}
	found, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == http.StatusOK && found == accept {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil, c.failed("is it nightporter?", fmt.Errorf("content type: found %q, expected %s", found, accept))
	}
	return nil, c.failed("no events", statusError(resp))
}

// failed says which porter it was, without the password.
func (c *Client) failed(what string, err error) error {
	return fmt.Errorf("%s: %s: %w", c.base.Redacted(), what, err)
}

// statusError tells an answer other than 200, in the porter's words if there are any.
func statusError(resp *http.Response) error {
	var answer struct {
		Error string `json:"error"`
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // without it, the status says enough
	switch err := json.Unmarshal(text, &answer); {
	case resp.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%s: expected http://USER:PASSWORD@HOST:PORT", resp.Status)
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s: is it nightporter, and not older than this command?", resp.Status)
	case err == nil && answer.Error != "":
		return fmt.Errorf("%s: %q", resp.Status, answer.Error)
	default:
		return errors.New(resp.Status)
	}
}
