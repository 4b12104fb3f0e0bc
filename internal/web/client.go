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
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// DefaultPort is the port of http.listen.
const DefaultPort = "9717"

// Limits on a porter that is asked.
const (
	answerTimeout = 10 * time.Second
	maxRedirects  = 3
	maxErrorBytes = 4 << 10
	maxEventBytes = 64 << 10 // the texts of an event are bounded, and far below
	maxListBytes  = MaxEvents * maxEventBytes
)

// ErrStreamEnded says that the porter follows no more: it stopped, or the client
// was too slow for it.
var ErrStreamEnded = errors.New("the porter ended the stream of events")

// ErrToken says that the porter wants a token, or another one.
var ErrToken = errors.New("401 Unauthorized")

// ErrNotServed says that what was asked has no such path.
var ErrNotServed = errors.New("is it nightporter, and not older than this command?")

// ErrWrongToken is an ErrToken though a token was shown.
var ErrWrongToken = errors.New("not the token of this porter")

// Unreachable says that no porter answers.
type Unreachable struct {
	Host string // and its port
	Err  error
}

// Error says why in a few words.
func (u *Unreachable) Error() string {
	reason := u.Err
	var errno syscall.Errno
	if errors.As(u.Err, &errno) {
		reason = errno // without the address, which stands there already
	}
	return fmt.Sprintf("no nightporter answers at %s (%v)", u.Host, reason)
}

// Unwrap returns the reason.
func (u *Unreachable) Unwrap() error { return u.Err }

// Local reports whether the porter was expected on this host.
func (u *Unreachable) Local() bool {
	host, _, err := net.SplitHostPort(u.Host)
	if err != nil {
		host = strings.Trim(u.Host, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Client asks a porter about its machines and its events, and to wake machines.
type Client struct {
	base  *url.URL
	http  *http.Client
	token string
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
	return &Client{base: base, http: &http.Client{Transport: transport, CheckRedirect: sameHost}}, nil
}

// Host returns where the porter is, as HOST:PORT.
func (c *Client) Host() string { return c.base.Host }

// SetToken sets what Wake and Forget show to the porter: the value of its http.token.
func (c *Client) SetToken(token string) { c.token = token }

// sameHost lets a porter move its clients to TLS or another path, but send no token
// of theirs to somebody else.
func sameHost(r *http.Request, before []*http.Request) error {
	if first := before[0].URL.Hostname(); r.URL.Hostname() != first {
		return fmt.Errorf("it points to %q: expected the porter itself", r.URL.Hostname())
	}
	if len(before) >= maxRedirects {
		return fmt.Errorf("it points from one address to another %d times: expected the porter itself", len(before))
	}
	return nil
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
	body, err := c.send(ctx, q.question(jsonType))
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
	body, err := c.send(ctx, q.question(eventStream))
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

// question is a request to a porter.
type question struct {
	method string
	path   []string // below /api/v1, each part unescaped
	query  string
	accept string // the one media type of an answer
	want   int    // its status
	failed string // what is said if there is no such answer
	token  bool   // goes with it
	body   any    // sent as JSON; nil: none is
}

func (q EventQuery) question(accept string) question {
	return question{
		method: http.MethodGet, path: []string{"events"}, query: q.encode(),
		accept: accept, want: http.StatusOK, failed: "no events",
	}
}

// send returns the body of an answer that is as expected.
func (c *Client) send(ctx context.Context, q question) (io.ReadCloser, error) {
	r, err := c.request(ctx, q)
	if err != nil {
		return nil, c.failed(q.failed, err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		var wrapped *url.Error // it repeats the address
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, &Unreachable{Host: c.base.Host, Err: err}
	}
	found, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == q.want && (found == q.accept || q.want == http.StatusNoContent) {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == q.want {
		return nil, c.failed("is it nightporter?", fmt.Errorf("content type: found %q, expected %s", found, q.accept))
	}
	err = statusError(resp)
	if errors.Is(err, ErrToken) && q.token && c.token != "" {
		err = fmt.Errorf("%w: %w", ErrWrongToken, err)
	}
	return nil, c.failed(q.failed, err)
}

// asKept returns a name as the porter keeps it: a terminal may spell "é" in two characters.
func asKept(name string) string {
	if kept, err := machine.ParseName(name); err == nil {
		return kept
	}
	return name // of before a name had to be allowed
}

func (c *Client) request(ctx context.Context, q question) (*http.Request, error) {
	u := c.base.JoinPath("api", "v1")
	for _, part := range q.path {
		u = u.JoinPath(url.PathEscape(asKept(part)))
	}
	u.RawQuery = q.query
	body, err := q.encode()
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, q.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if q.body != nil {
		r.Header.Set("Content-Type", jsonType)
	}
	r.Header.Set("Accept", q.accept)
	switch {
	case !q.token || c.token == "":
	case c.base.User != nil: // the password takes the other
		r.Header.Set(TokenHeader, c.token)
	default:
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return r, nil
}

// encode returns the body of a request.
func (q *question) encode() (io.Reader, error) {
	if q.body == nil {
		return http.NoBody, nil
	}
	b, err := json.Marshal(q.body)
	return bytes.NewReader(b), err
}

// failed says which porter it was, without the password.
func (c *Client) failed(what string, err error) error {
	return fmt.Errorf("%s: %s: %w", c.base.Redacted(), what, err)
}

// statusError tells an answer that is not the expected one, in the porter's words
// if there are any.
func statusError(resp *http.Response) error {
	var answer struct {
		Error string `json:"error"`
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // without it, the status says enough
	inWords := json.Unmarshal(text, &answer) == nil && answer.Error != ""
	switch {
	case resp.StatusCode == http.StatusUnauthorized && !inWords: // by the toolkit
		return fmt.Errorf("%s: expected http://USER:PASSWORD@HOST:PORT", resp.Status)
	case resp.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w: %q", ErrToken, answer.Error)
	case resp.StatusCode == http.StatusNotFound && inWords && strings.HasPrefix(answer.Error, notNamed):
		return machine.ErrUnknown
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s: %w", resp.Status, ErrNotServed)
	case inWords:
		return fmt.Errorf("%s: %q", resp.Status, answer.Error)
	default:
		return errors.New(resp.Status)
	}
}
