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

	// tries is how many local ports are tried: others may be in use.
	tries = 16
)

// Target is a service, and the way to it. Our kernel knows where its machine is: each
// answer to the porter's questions tells it as well.
type Target struct {
	Interface string
	From      netip.Addr // ours
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

// dial connects from one of the ports of our probes, by the interface of the machine.
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

// bind ties a socket to the interface, where that is allowed.
func (t Target) bind(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) { failed = unix.BindToDevice(int(fd), t.Interface) })
	if errors.Is(failed, unix.EPERM) { // before Linux 5.7 it takes CAP_NET_RAW
		failed = nil
	}
	return errors.Join(err, failed)
}

// checkBanner compares the first octets that the service sends.
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

// checkHTTP asks for the path. An answer is one answer: redirects are not followed.
func (t Target) checkHTTP(ctx context.Context) error {
	transport := &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return t.dial(ctx) },
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHead,
		// It is asked whether the service works, not who it is: nothing secret is sent.
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

// url names the service by its address, without the port where that is the usual one.
func (t Target) url() string {
	scheme, usual := "http", ":80"
	if t.Ready.By == machine.ByHTTPS {
		scheme, usual = "https", ":443"
	}
	return scheme + "://" + strings.TrimSuffix(t.To.String(), usual) + t.Ready.Path
}
