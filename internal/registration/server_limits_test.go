package registration_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"nightporter/internal/registration"
)

const crowded = "too many connections, try again\n"

// blockingHandler is a handler that keeps its clients until it is lifted.
type blockingHandler struct {
	waiting chan struct{}
	lift    func()
	lifted  chan struct{}
}

func newBlockingHandler() *blockingHandler {
	b := &blockingHandler{waiting: make(chan struct{}, 1024), lifted: make(chan struct{})}
	b.lift = sync.OnceFunc(func() { close(b.lifted) })
	return b
}

func (b *blockingHandler) handle(ctx context.Context, _ registration.Request, _ registration.Peer) error {
	b.waiting <- struct{}{}
	select {
	case <-b.lifted:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await waits until n more clients are kept.
func (b *blockingHandler) await(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(patience)
	for i := range n {
		select {
		case <-b.waiting:
		case <-deadline:
			t.Fatalf("%d clients got in, want %d", i, n)
		}
	}
}

func TestServerThousandConnections(t *testing.T) {
	const clients, room = 1000, 16 // one source may hold a quarter of 64
	b := newBlockingHandler()
	d := newTestServer(t, "127.0.0.1:0", config(), b.handle)
	answers := make(chan string, clients)
	var wg sync.WaitGroup
	for range clients {
		conn := d.dial(t)
		wg.Go(func() {
			_, _ = io.WriteString(conn, goodBody) // fails if the connection was refused
			a, _ := io.ReadAll(conn)
			answers <- string(a)
			conn.Close()
		})
	}
	b.await(t, room)
	d.waitCount(t, registration.Limited, clients-room)
	b.lift()
	wg.Wait()
	close(answers)
	got := make(map[string]int)
	for a := range answers {
		got[a]++
	}
	if got["OK."] != room || got[crowded] != clients-room {
		t.Errorf("answered %v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := registration.SendRetry(ctx, d.addr, goodWire(), 10); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if n := strings.Count(d.logged(), "registration refused"); n > 200 {
		t.Errorf("%d log lines about it", n)
	}
}

// TestServerIsFairToSources: no source has more than a quarter of the places.
func TestServerIsFairToSources(t *testing.T) {
	var lifted chan struct{}
	keep := func(context.Context, registration.Request, registration.Peer) error {
		<-lifted
		return nil
	}
	inBubble(t, config(), keep, func(t *testing.T, r *bubbleServer) {
		lifted = make(chan struct{}) // in the bubble
		var kept sync.WaitGroup
		for source, from := range []string{"192.0.2.11", "192.0.2.12", "192.168.1.6", "192.168.1.5"} { // the last one is known
			for range 16 {
				kept.Go(func() {
					if a := r.call(from, goodBody); a != "OK." {
						t.Errorf("answered %q", a)
					}
				})
			}
			synctest.Wait()
			if a := r.call(from, goodBody); a != crowded {
				t.Errorf("source %d: answered %q", source, a)
			}
		}
		if a := r.call("192.0.2.99", goodBody); a != crowded { // nothing of its own, but there is no place left
			t.Errorf("answered %q", a)
		}
		close(lifted)
		kept.Wait()
	})
}

func TestServerSharesLimitsBetweenListeners(t *testing.T) {
	b := newBlockingHandler()
	cfg := config()
	cfg.MaxConnections = 1
	d := newTestServer(t, "127.0.0.1:0", cfg, b.handle)
	second, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx, second) }()
	first := d.dial(t)
	write(t, first, goodBody)
	b.await(t, 1)
	if a := read(t, dialFrom(t, second.Addr().String(), "")); a != crowded {
		t.Errorf("answered %q", a)
	}
	cfg.MaxConnections = 2 // as after a reload
	d.SetConfig(cfg)
	other := dialFrom(t, second.Addr().String(), "")
	write(t, other, goodBody)
	b.await(t, 1)
	b.lift()
	for _, conn := range []net.Conn{first, other} {
		if a := read(t, conn); a != "OK." {
			t.Errorf("answered %q", a)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServerBoundsTheHandler(t *testing.T) {
	b := newBlockingHandler()
	cfg := config()
	cfg.HandlerTimeout = 50 * time.Millisecond
	d := newTestServer(t, "127.0.0.1:0", cfg, b.handle)
	if a := d.ask(t, goodBody); a != "checking the registration took too long, try again\n" {
		t.Errorf("answered %q", a)
	}
}

func TestServerStops(t *testing.T) {
	const stopping = "the porter is stopping, try again\n"
	b := newBlockingHandler()
	d := newTestServer(t, "127.0.0.1:0", config(), b.handle)
	reading, deciding := d.dial(t), d.dial(t)
	write(t, reading, goodBody[:10])
	write(t, deciding, goodBody)
	b.await(t, 1)
	begun := time.Now()
	d.stop()
	if took := time.Since(begun); took > 1500*time.Millisecond {
		t.Errorf("stopping took %v", took)
	}
	if a := read(t, deciding); a != stopping {
		t.Errorf("answered %q", a)
	}
	// The other connection may still have been in the listener's queue, and is
	// then closed without a word.
	if a, _ := io.ReadAll(reading); string(a) != stopping && len(a) > 0 {
		t.Errorf("answered %q", a)
	}
	if conn, err := net.Dial("tcp", d.addr); err == nil {
		conn.Close()
		t.Error("the listener is still open")
	}
}

// brokenListener fails as told, and then blocks until it is closed.
type brokenListener struct {
	net.Listener
	errs chan error
}

func (l *brokenListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

func TestServerAcceptErrors(t *testing.T) {
	for _, tt := range []struct {
		name    string
		errs    []error
		survive bool
	}{
		{"out of descriptors", []error{syscall.EMFILE, syscall.EMFILE, syscall.EMFILE}, true},
		{"gone", []error{net.ErrClosed}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ln := &brokenListener{inner, make(chan error, len(tt.errs))}
			for _, err := range tt.errs {
				ln.errs <- err
			}
			d := newTestServer(t, "127.0.0.1:0", config(), accept)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			served := make(chan error, 1)
			go func() { served <- d.Serve(ctx, ln) }()
			if !tt.survive {
				if err := <-served; !errors.Is(err, net.ErrClosed) {
					t.Errorf("Serve: %v", err)
				}
				return
			}
			conn := dialFrom(t, inner.Addr().String(), "")
			write(t, conn, goodBody)
			if a := read(t, conn); a != "OK." {
				t.Errorf("answered %q", a)
			}
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}
