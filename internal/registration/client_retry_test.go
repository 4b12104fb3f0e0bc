package registration_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"nightporter/internal/registration"
)

// busyPorter refuses all clients for some time, and then accepts.
func busyPorter(t *testing.T, lasting time.Duration) *testServer {
	t.Helper()
	free := time.Now().Add(lasting)
	return newTestServer(t, "127.0.0.1:0", config(), func(context.Context, registration.Request, registration.Peer) error {
		if time.Now().Before(free) {
			return registration.Refuse(registration.Limited, "too many connections, try again")
		}
		return nil
	})
}

// TestAttackPorterIsBusy: an attacker keeps the porter busy. A client tries until its deadline.
func TestAttackPorterIsBusy(t *testing.T) {
	t.Parallel()
	d := busyPorter(t, 4*time.Second)
	if err := registration.SendRetry(deadline(t, 10*time.Second), d.addr, goodWire(), -1); err != nil {
		t.Error(err)
	}
}

// TestAttackPorterIsSilent: a connection that is never answered does not take all
// the time that a client has.
func TestAttackPorterIsSilent(t *testing.T) {
	t.Parallel()
	if err := registration.SendRetry(deadline(t, 3*time.Second), silentOnce(t), goodWire(), -1); err != nil {
		t.Error(err)
	}
}

// silentOnce is a porter that does not answer the first connection, and accepts the
// registrations of all others.
func silentOnce(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for first := true; ; first = false {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if first {
				defer conn.Close() // with the listener
				continue
			}
			_, _ = conn.Read(make([]byte, registration.MaxBody)) // else the answer may be overtaken by a reset
			_, _ = io.WriteString(conn, "OK.")                   // the client checks it
			conn.Close()
		}
	})
	return ln.Addr().String()
}

// Machines that were refused together do not all come back a quarter of a second later.
func TestSendRetryPausesDiffer(t *testing.T) {
	t.Parallel()
	came := make(chan time.Time, 16)
	d := newTestServer(t, "127.0.0.1:0", config(), func(context.Context, registration.Request, registration.Peer) error {
		came <- time.Now()
		return registration.Refuse(registration.Limited, "not now, try again")
	})
	earlier := 0
	for range cap(came) / 2 {
		if err := registration.SendRetry(deadline(t, patience), d.addr, goodWire(), 1); err == nil {
			t.Fatal("no error")
		}
		if first, second := <-came, <-came; second.Sub(first) < 230*time.Millisecond {
			earlier++
		}
	}
	if earlier == 0 {
		t.Error("all pauses are alike")
	}
}

// TestAttackPorterOfTheScript: the script tries again as well.
func TestAttackPorterOfTheScript(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	common := []string{"--mac", "d8:cb:8a:39:be:a1", "--monitor", "192.168.1.5=22"}
	d := busyPorter(t, 4*time.Second)
	if code, out, errs := s.run(append(common, "--to", d.addr)...); code != 0 || out != "OK.\n" {
		t.Errorf("a busy porter: exit code %d, %q, %q", code, out, errs)
	}
	if code, out, errs := s.run(append(common, "--to", silentOnce(t), "--timeout", "3")...); code != 0 || out != "OK.\n" {
		t.Errorf("a silent porter: exit code %d, %q, %q", code, out, errs)
	}
}
