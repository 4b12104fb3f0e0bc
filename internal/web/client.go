package web

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// DefaultPort is the port of http.listen.
const DefaultPort = "9717"

// Client calls the API of a porter.
type Client struct {
	target
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
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	transport.ResponseHeaderTimeout = answerTimeout
	return &Client{target: target{base: base}, http: &http.Client{Transport: transport, CheckRedirect: sameHost}}, nil
}

// Host returns where the porter is, as HOST:PORT.
func (c *Client) Host() string { return c.base.Host }

// SetToken sets the token for requests that change machines: the porter's http.token.
func (c *Client) SetToken(token string) { c.token = token }

// sameHost is the redirect policy: a redirect may lead to TLS or another path, but not
// to another host, which would get the token.
func sameHost(r *http.Request, before []*http.Request) error {
	if first := before[0].URL.Hostname(); r.URL.Hostname() != first {
		return fmt.Errorf("redirect to %q: expected the porter itself", r.URL.Hostname())
	}
	if len(before) >= maxRedirects {
		return fmt.Errorf("%d redirects: expected the porter itself", len(before))
	}
	return nil
}

func parseBase(from string) (*url.URL, error) {
	full := from
	if !strings.Contains(from, "://") {
		if ip := bareIPv6("//" + from); ip != "" {
			full = net.JoinHostPort(ip, DefaultPort)
		} else if _, _, err := net.SplitHostPort(from); err != nil && from != "" {
			full = net.JoinHostPort(strings.Trim(from, "[]"), DefaultPort)
		}
		// In a URL the zone of fe80::1%eth0 is written with %25 (RFC 6874 section 2).
		full = "http://" + strings.Replace(full, "%", "%25", 1)
	}
	u, err := url.Parse(full)
	if host := bareIPv6(full); host != "" {
		return nil, fmt.Errorf("found %q, expected the IPv6 address in brackets, such as http://[%s]:%s", from, host, DefaultPort)
	}
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("found %q, expected a URL such as http://porter:%s", from, DefaultPort)
	}
	if _, err := strconv.ParseUint(cmp.Or(u.Port(), DefaultPort), 10, 16); err != nil || u.Port() == "0" {
		return nil, fmt.Errorf("found %q, expected a port of 1 to 65535", from)
	}
	u.RawQuery, u.Fragment = "", ""
	if _, err := url.Parse(u.String()); err != nil { // a zone that no URL can have
		return nil, fmt.Errorf("found %q, expected an address that fits into a URL", from)
	}
	return u, nil
}

// bareIPv6 returns an IPv6 address that stands in a URL without its brackets (RFC 3986
// section 3.2.2), or nothing.
func bareIPv6(from string) string {
	_, rest, _ := strings.Cut(from, "//")
	host, _, _ := strings.Cut(rest, "/")
	for _, candidate := range []string{strings.TrimSuffix(host, ":"+DefaultPort), host} {
		if ip, err := netip.ParseAddr(candidate); err == nil && ip.Is6() {
			return ip.String()
		}
	}
	return ""
}

// Close ends the connections that are kept for another apiRequest.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// send returns the body of an answer that is as expected.
func (c *Client) send(ctx context.Context, q apiRequest) (io.ReadCloser, error) {
	r, err := c.request(ctx, q)
	if err != nil {
		return nil, c.failed(q.failed, err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unanswered(err)
	}
	found, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == q.want && (found == q.accept || q.want == http.StatusNoContent) {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == q.want {
		return nil, c.failed("is it nightporter?", fmt.Errorf("content type: found %q, expected %s", found, q.accept))
	}
	return nil, c.statusError(q, resp)
}

func (c *Client) request(ctx context.Context, q apiRequest) (*http.Request, error) {
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
