package registration_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nightporter/internal/lab/labtest"
	"nightporter/internal/registration"
)

// TestMain lets the tests make namespaces without root, where the kernel allows
// it; each test that needs one says what is missing.
func TestMain(m *testing.M) {
	labtest.Enter()
	goleak.VerifyTestMain(m)
}

const (
	goodBody = `{"mac":"d8:cb:8a:39:be:a1","name":"tower","monitor":[{"ip":"192.168.1.5","port":[22]}]}`
	patience = 20 * time.Second // longer than any event takes
)

// testServer is a Server on the loopback, with its log and outcomes.
type testServer struct {
	*registration.Server
	addr     string
	stop     func() // ends the server and waits for it
	mu       sync.Mutex
	outcomes map[registration.Outcome]int
	changed  chan struct{}
	log      bytes.Buffer
}

func config() registration.Config {
	return registration.Config{Timeout: patience, MaxConnections: 64, Defaults: defaults}
}

func accept(context.Context, registration.Request, registration.Peer) error { return nil }

// handlerFunc is a registration.Handler.
type handlerFunc func(context.Context, registration.Request, registration.Peer) error

func (f handlerFunc) Register(ctx context.Context, req registration.Request, peer registration.Peer) error {
	return f(ctx, req, peer)
}

// newTestServer serves on listen, "127.0.0.1:0" in most tests.
func newTestServer(t *testing.T, listen string, cfg registration.Config, h handlerFunc) *testServer {
	t.Helper()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	d := &testServer{addr: ln.Addr().String(), outcomes: make(map[registration.Outcome]int), changed: make(chan struct{}, 1)}
	log := slog.New(slog.NewTextHandler(&lockedWriter{d: d}, nil))
	d.Server = registration.New(cfg, registration.Options{Handler: h, Log: log, Observe: d.observe})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx, ln) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve does not end")
		}
	})
	t.Cleanup(d.stop)
	return d
}

type lockedWriter struct{ d *testServer }

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	return w.d.log.Write(p)
}

func (d *testServer) observe(c registration.Conclusion) {
	o := c.Outcome
	d.mu.Lock()
	d.outcomes[o]++
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *testServer) count(o registration.Outcome) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.outcomes[o]
}

func (d *testServer) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// waitCount waits until n registrations ended with o.
func (d *testServer) waitCount(t *testing.T, o registration.Outcome, n int) {
	t.Helper()
	deadline := time.After(patience)
	for d.count(o) < n {
		select {
		case <-d.changed:
		case <-deadline:
			t.Fatalf("%d %v, want %d", d.count(o), o, n)
		}
	}
}

func (d *testServer) dial(t *testing.T) net.Conn {
	t.Helper()
	return dialFrom(t, d.addr, "")
}

func dialFrom(t *testing.T, addr, source string) net.Conn {
	t.Helper()
	dialer := net.Dialer{Timeout: patience}
	if source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func write(t *testing.T, conn net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(conn, s); err != nil {
		t.Fatal(err)
	}
}

// read returns all that comes until the server closes.
func read(t *testing.T, conn net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

func (d *testServer) ask(t *testing.T, body string) string {
	t.Helper()
	conn := d.dial(t)
	write(t, conn, body)
	return read(t, conn)
}
