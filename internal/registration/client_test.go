package registration_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/registration"
)

func goodWire() registration.Wire {
	return registration.Wire{
		MAC:     towerMAC.String(),
		Name:    "tower",
		Monitor: []registration.WireAddress{registration.ParseMonitor("192.168.1.5=22,51820/udp,icmp")},
	}
}

func deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestWireJSON(t *testing.T) {
	w := goodWire()
	idle := 0.0
	w.IdleWatts = &idle
	w.Watch = true
	w.Monitor = append(w.Monitor, registration.ParseMonitor("fd00::5"))
	got, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"mac":"d8:cb:8a:39:be:a1","name":"tower","monitor":[{"ip":"192.168.1.5","port":[22,"51820/udp","icmp"]},` +
		`{"ip":"fd00::5","port":[]}],"idle_watts":0,"watch":true}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseMonitor(t *testing.T) {
	for s, want := range map[string]registration.WireAddress{
		"10.0.0.1=22":              {IP: "10.0.0.1", Port: []registration.WirePort{"22"}},
		"fd00::1 = 22/tcp , icmp,": {IP: "fd00::1", Port: []registration.WirePort{"22/tcp", "icmp"}},
		"10.0.0.1":                 {IP: "10.0.0.1", Port: []registration.WirePort{}},
		"10.0.0.1=":                {IP: "10.0.0.1", Port: []registration.WirePort{}},
	} {
		if diff := cmp.Diff(want, registration.ParseMonitor(s)); diff != "" {
			t.Errorf("%q: %s", s, diff)
		}
	}
}

func TestWireCheck(t *testing.T) {
	if err := goodWire().Check(); err != nil {
		t.Error(err)
	}
	for port, want := range map[registration.WirePort]string{
		"0":  `monitor[0].port[0]: found "0": expected 1 to 65535, "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as "ssh"`,
		"":   `monitor[0].port[0]: found "": expected 1 to 65535, "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as "ssh"`,
		"x,": `monitor[0].port[0]: found "x,": expected 1 to 65535, "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as "ssh"`,
	} {
		w := goodWire()
		w.Monitor[0].Port = []registration.WirePort{port}
		if err := w.Check(); err == nil || err.Error() != want {
			t.Errorf("port %q: %v, want %s", port, err, want)
		}
	}
}

func TestSend(t *testing.T) {
	got := make(chan registration.Request, 1)
	d := newTestServer(t, "127.0.0.1:0", config(), func(_ context.Context, r registration.Request, _ registration.Peer) error {
		got <- r
		return nil
	})
	if err := registration.Send(deadline(t, patience), d.addr, goodWire()); err != nil {
		t.Fatal(err)
	}
	if r := <-got; len(r.Monitor) != 1 || len(r.Monitor[0].Ports) != 4 || r.MAC != towerMAC {
		t.Errorf("the porter got %+v", r)
	}
}

func TestSendRejected(t *testing.T) {
	calls := atomic.Int32{}
	d := newTestServer(t, "127.0.0.1:0", config(), func(context.Context, registration.Request, registration.Peer) error {
		calls.Add(1)
		return errors.New("not you")
	})
	err := registration.SendRetry(deadline(t, patience), d.addr, goodWire(), 3)
	var r *registration.Rejection
	if !errors.As(err, &r) || r.Answer != "not you" || r.Temporary() {
		t.Errorf("got %v", err)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("asked %d times: a refusal is final", n)
	}
}

func TestSendRetryUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	calls := atomic.Int32{}
	d := newTestServer(t, "127.0.0.1:0", config(), func(context.Context, registration.Request, registration.Peer) error {
		if calls.Add(1) < 3 {
			return registration.Refuse(registration.Limited, "not now, try again")
		}
		return nil
	})
	if err := registration.SendRetry(deadline(t, patience), d.addr, goodWire(), 2); err != nil {
		t.Error(err)
	}
	calls.Store(0)
	err := registration.SendRetry(deadline(t, patience), d.addr, goodWire(), 1)
	if want := "the porter refused: not now, try again"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestSendRetryTellsWhatThePorterSaid, and not only that the time was over.
func TestSendRetryTellsWhatThePorterSaid(t *testing.T) {
	t.Parallel()
	calls := atomic.Int32{}
	d := newTestServer(t, "127.0.0.1:0", config(), func(ctx context.Context, _ registration.Request, _ registration.Peer) error {
		if calls.Add(1) == 1 {
			return registration.Refuse(registration.Refused, "no host answers, try again")
		}
		<-ctx.Done()
		return ctx.Err()
	})
	err := registration.SendRetry(deadline(t, time.Second), d.addr, goodWire(), 3)
	if want := "no time left to try again: the porter refused: no host answers, try again"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	d.stop()
}

// oddPorter answers every connection as told, without reading.
func oddPorter(t *testing.T, answer string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func TestSendToOddPorters(t *testing.T) {
	for answer, want := range map[string]string{
		"":                        "closed the connection without an answer: EOF",
		"OK":                      "the porter refused: OK",
		"OK.\n":                   "the porter refused: refused: OK.",
		"\x1b]0;gotcha\a\r\nno":   "the porter refused: ]0;gotcha   no",
		strings.Repeat("y", 5000): "the porter refused: " + strings.Repeat("y", 397) + "...",
	} {
		err := registration.Send(deadline(t, patience), oddPorter(t, answer), goodWire())
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("answer %.20q: got %v, want %s", answer, err, want)
		}
	}
}

func TestSendRetryKeepsItsTime(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	begun := time.Now()
	err = registration.SendRetry(deadline(t, 300*time.Millisecond), ln.Addr().String(), goodWire(), 100)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silent porter: %v", err)
	}
	ln.Close() // now the connection is refused
	err = registration.SendRetry(deadline(t, 300*time.Millisecond), ln.Addr().String(), goodWire(), 100)
	if err == nil || !strings.Contains(err.Error(), "no time left to try again: ") {
		t.Errorf("no porter: %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}
