package web_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// slowBackend lets a test hold a request.
type slowBackend struct {
	fakeBackend
	entered chan struct{}
	leave   chan struct{}
}

func (h *slowBackend) Wake(ctx context.Context, _, _ string) error {
	close(h.entered)
	select {
	case <-h.leave:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wakeNas asks for a wake in the background and waits until the backend has it.
func wakeNas(t *testing.T, h *slowBackend, url string) <-chan int {
	t.Helper()
	c := newClient(t)
	codes := make(chan int, 1)
	go func() {
		defer close(codes)
		r, err := http.NewRequestWithContext(t.Context(), "POST", url+"/api/v1/machines/nas/wake", http.NoBody)
		if err != nil {
			return
		}
		if resp, err := c.Do(r); err == nil {
			resp.Body.Close()
			codes <- resp.StatusCode
		}
	}()
	select {
	case <-h.entered:
	case <-time.After(10 * time.Second):
		t.Fatal("the request does not arrive")
	}
	return codes
}

func newSlowBackend() *slowBackend {
	return &slowBackend{
		fakeBackend: fakeBackend{machines: []machine.Status{nas()}},
		entered:     make(chan struct{}), leave: make(chan struct{}),
	}
}

func TestStopLetsRequestsEnd(t *testing.T) {
	h := newSlowBackend()
	opts := options(&h.fakeBackend)
	opts.Backend, opts.Listen = h, []string{"127.0.0.1:0"}
	r := run(t, opts)
	codes := wakeNas(t, h, r.urls[0])
	r.stop()
	waitRefused(t, strings.TrimPrefix(r.urls[0], "http://"))
	close(h.leave)
	if code := <-codes; code != 202 {
		t.Errorf("the request under way ended with status %d, want 202", code)
	}
	if _, err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// waitRefused waits until nothing listens on addr any more.
func waitRefused(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
	}
	t.Fatalf("%s still listens", addr)
}

// What does not end by itself is cut off after a second: a request that hangs,
// a client that connected and says nothing.
func TestStopCutsOff(t *testing.T) {
	h := newSlowBackend()
	opts := options(&h.fakeBackend)
	opts.Backend, opts.Listen = h, []string{"127.0.0.1:0", "127.0.0.1:0"}
	r := run(t, opts)
	silent, err := net.Dial("tcp", strings.TrimPrefix(r.urls[1], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	codes := wakeNas(t, h, r.urls[0])
	r.stop()
	took, err := r.wait(t)
	if err != nil {
		t.Error(err)
	}
	if took > 1900*time.Millisecond {
		t.Errorf("stopped after %v, want about a second", took)
	}
	if code, answered := <-codes; answered && code != 503 {
		t.Errorf("the hanging request ended with status %d, want 503 or none", code)
	}
	if err := silent.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := silent.Read(make([]byte, 1)); errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the silent client's connection stays open")
	}
}
