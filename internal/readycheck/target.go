package readycheck

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

const (
	// maxHead bounds the head of an HTTP answer, in bytes.
	maxHead = 8 << 10

	// tries bounds the local ports that are tried: some may be in use.
	tries = 16
)

// Target is a service, and the way to it. The kernel's neighbor cache has its machine:
// each answer to a probe of the porter updates it.
type Target struct {
	Interface string
	From      netip.Addr // address of the porter
	To        netip.AddrPort
	Ready     machine.Ready
}

// check returns nil if the service is ready, or why it is not.
func (t Target) check(ctx context.Context) error {
	if t.Ready.By == machine.ByBanner {
		return t.checkBanner(ctx)
	}
	return t.checkHTTP(ctx)
}

// dial connects from one of the ports for probes, on the interface of the machine.
func (t Target) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Control: t.bind}
	var err error
	for range tries {
		local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.zoned(t.From), lan.ProbePort(uint16(rand.Uint32()))))
		d.LocalAddr = local
		var conn net.Conn
		conn, err = d.DialContext(ctx, "tcp", netip.AddrPortFrom(t.zoned(t.To.Addr()), t.To.Port()).String())
		if err == nil || !errors.Is(err, unix.EADDRINUSE) && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return conn, err
		}
	}
	return nil, err
}

// zoned returns a link-local address with its interface.
func (t Target) zoned(ip netip.Addr) netip.Addr {
	if ip.IsLinkLocalUnicast() && ip.Is6() {
		return ip.WithZone(t.Interface)
	}
	return ip
}

// bind binds a socket to the interface, if that is permitted.
func (t Target) bind(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) { failed = unix.BindToDevice(int(fd), t.Interface) })
	if errors.Is(failed, unix.EPERM) { // needs CAP_NET_RAW before Linux 5.7
		failed = nil
	}
	return errors.Join(err, failed)
}

// checkBanner compares the first bytes that the service sends.
func (t Target) checkBanner(ctx context.Context) error {
	conn, err := t.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	got := make([]byte, len(t.Ready.Banner))
	n, err := io.ReadFull(conn, got)
	if err == nil && string(got) == t.Ready.Banner {
		return nil
	}
	return fmt.Errorf("it said %q: expected %q", got[:n], t.Ready.Banner)
}

// checkHTTP requests the path. Redirects are not followed.
func (t Target) checkHTTP(ctx context.Context) error {
	transport := &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return t.dial(ctx) },
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHead,
		// The certificate is not verified: nothing secret is sent.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	u, err := url.Parse(t.url())
	if err != nil {
		return err
	}
	request := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{"User-Agent": {"nightporter"}}}
	response, err := transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch status := response.StatusCode; {
	case t.Ready.Status != 0 && status != t.Ready.Status:
		return fmt.Errorf("it answered with status %d: expected %d", status, t.Ready.Status)
	case t.Ready.Status == 0 && status >= http.StatusInternalServerError:
		return fmt.Errorf("it answered with status %d: expected one below 500", status)
	}
	return nil
}

// url returns the URL of the service, without the port if it is the default one.
func (t Target) url() string {
	scheme, usual := "http", ":80"
	if t.Ready.By == machine.ByHTTPS {
		scheme, usual = "https", ":443"
	}
	return scheme + "://" + strings.TrimSuffix(t.To.String(), usual) + t.Ready.Path
}
