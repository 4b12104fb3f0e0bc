package lab_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// knockEverywhere tries everything that an awake machine would answer, each
// for the given time, and fails the test if something does.
func knockEverywhere(t *testing.T, from *lab.Host, m *lab.Machine, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var all sync.WaitGroup
	for _, ip := range []netip.Addr{m.Addr4(), m.Addr6()} {
		all.Go(func() {
			addr := netip.AddrPortFrom(ip, 22).String()
			conn, err := from.Dial(ctx, "tcp", addr)
			quiet := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.EHOSTUNREACH)
			if !quiet {
				t.Errorf("dial %s of a sleeping machine: %v %v, want silence", addr, conn, err)
			}
		})
		all.Go(func() {
			if err := from.Ping(ctx, ip); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("ping %s of a sleeping machine: %v, want silence", ip, err)
			}
		})
	}
	all.Wait()
}

func TestSleepingMachineIsSilent(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*lab.Machine) error{
		"shutdown":  func(m *lab.Machine) error { return m.Sleep(context.Background()) },
		"power cut": func(m *lab.Machine) error { return m.PowerCut(context.Background()) },
	}
	for name, off := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			m := addMachine(t, l, nas6())
			served(t, l.Client(), "10.77.0.20:22", m.Name())
			served(t, l.Client(), "[fd77::20]:22", m.Name())
			capture, err := l.CapturePort(testContext(t), m.Host)
			if err != nil {
				t.Fatal(err)
			}
			if err := off(m); err != nil {
				t.Fatal(err)
			}
			asleep := wait(t, m, lab.AsleepNow)
			if addrs, err := m.AddrsNow(); err != nil || len(addrs) != 0 {
				t.Errorf("asleep with addresses %v (%v)", addrs, err)
			}
			// The client goes on with its warm neighbor entry, others ask anew.
			var both sync.WaitGroup
			both.Go(func() { knockEverywhere(t, l.Client(), m, 2*time.Second) })
			both.Go(func() { knockEverywhere(t, l.Porter(), m, 2*time.Second) })
			both.Wait()
			asked := false
			for _, f := range capture.Frames() {
				if f.Outgoing && f.Time.After(asleep.Time) {
					t.Errorf("%s after it fell asleep the machine sent %s: %x", f.Time.Sub(asleep.Time), f, f.Data)
				}
				asked = asked || !f.Outgoing && isARPFrom(f, l.Porter().MAC(), l.Porter().Addr4(), m.Addr4())
			}
			if !asked {
				t.Error("the switch did not bring the porter's ARP request to the machine")
			}
			if err := m.PowerOn(); err != nil {
				t.Fatal(err)
			}
			wait(t, m, lab.NetworkUp)
			for range m.Services() {
				wait(t, m, lab.ServiceUp)
			}
			// Connection attempts may still be about to fail.
			if err := l.Porter().ForgetNeighbor(m.Addr6()); err != nil {
				t.Fatal(err)
			}
			served(t, l.Porter(), "[fd77::20]:22", m.Name())
		})
	}
}

// openConn connects to the machine's service and reads its banner.
func openConn(t *testing.T, h *lab.Host, m *lab.Machine) net.Conn {
	t.Helper()
	conn, err := h.Dial(testContext(t), "tcp", "10.77.0.20:22")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if got := read(t, conn, len(lab.Banner(m.Name()))); got != lab.Banner("nas") {
		t.Errorf("banner %q, want %q", got, lab.Banner("nas"))
	}
	if e := wait(t, m, lab.Accepted); e.Remote.String() != conn.LocalAddr().String() {
		t.Errorf("accepted %s, want %s", e.Remote, conn.LocalAddr())
	}
	return conn
}

func TestShutdownEndsConnections(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	m := addMachine(t, l, nas())
	conn := openConn(t, l.Client(), m)
	putToSleep(t, m)
	conn.SetDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(conn); len(b) != 0 || err != nil {
		t.Errorf("after the shutdown the client read %q, %v; want the end of the stream", b, err)
	}
}

func TestPowerCutEndsNothing(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	m := addMachine(t, l, nas())
	conn := openConn(t, l.Client(), m)
	if err := m.PowerCut(testContext(t)); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the power cut the client read %v, want nothing", err)
	}
	// The next system has no state of the old connection.
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	wait(t, m, lab.ServiceUp)
	if _, err := conn.Write([]byte("still there?")); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the next boot the client read %v, want a reset", err)
	}
}

func TestSleepAfterServesMeanwhile(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	m := addMachine(t, l, nas())
	const delay = 400 * time.Millisecond
	start := time.Now()
	if err := m.SleepAfter(delay); err != nil {
		t.Fatal(err)
	}
	if m.State() != lab.ShuttingDown {
		t.Errorf("state %s, want %s", m.State(), lab.ShuttingDown)
	}
	served(t, l.Client(), "10.77.0.20:22", m.Name())
	sendFrame(t, l.Porter(), magicFrame(m.MAC(), m.MAC())) // lost on a machine that still runs
	e := wait(t, m, lab.AsleepNow)
	if d := e.Time.Sub(start); d < delay {
		t.Errorf("asleep after %s, want at least %s", d, delay)
	}
	if m.State() != lab.Asleep || m.MagicCount() != 1 {
		t.Errorf("state %s after %d magic packets, want asleep after 1", m.State(), m.MagicCount())
	}
}

func TestPowerInTheWrongState(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas()
	cfg.Boot = time.Hour
	m := addMachine(t, l, cfg)
	if err := m.PowerOn(); err == nil {
		t.Error("PowerOn of a running machine was accepted")
	}
	if err := m.SleepAfter(time.Hour); err != nil {
		t.Fatal(err)
	}
	if m.Sleep(testContext(t)) == nil || m.SleepAfter(0) == nil || m.PowerOn() == nil {
		t.Error("a machine that shuts down took another order")
	}
	// A power cut ends a shutdown, a boot and even a sleep.
	for _, then := range []lab.PowerState{lab.Asleep, lab.Booting, lab.Asleep} {
		if err := m.PowerCut(testContext(t)); err != nil {
			t.Fatal(err)
		}
		wait(t, m, lab.AsleepNow)
		if m.Sleep(testContext(t)) == nil {
			t.Error("Sleep of a sleeping machine was accepted")
		}
		if then != lab.Booting {
			continue
		}
		if err := m.PowerOn(); err != nil || m.State() != lab.Booting {
			t.Fatalf("PowerOn: %v, state %s", err, m.State())
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Sleep(done); !errors.Is(err, context.Canceled) {
		t.Errorf("Sleep with a context that has ended: %v", err)
	}
}

func TestLateFrame(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	m := addMachine(t, l, nas())
	six := nas()
	six.Name, six.Addrs = "six", []netip.Prefix{netip.MustParsePrefix("fd77::6/64")}
	m6 := addMachine(t, l, six)
	capture, err := l.Porter().Capture(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*lab.Machine{m, m6} {
		putToSleep(t, m)
		if err := m.LateFrame(); err != nil {
			t.Fatal(err)
		}
	}
	for _, match := range []func(lab.Frame) bool{
		func(f lab.Frame) bool { return isARPFrom(f, m.MAC(), m.Addr4(), l.Router().Addr4()) },
		func(f lab.Frame) bool {
			return f.Src() == m6.MAC() && isSolicitation(f, m6.Addr6(), l.Router().Addr6())
		},
	} {
		if _, err := capture.Wait(testContext(t), match); err != nil {
			t.Error(err)
		}
	}
}

func TestDatagrams(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	m := addMachine(t, l, nas6())
	for _, addr := range []string{"10.77.0.20:53", "[fd77::20]:53"} {
		conn, err := l.Outside().Dial(testContext(t), "udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		for n := 1; n <= 2; n++ {
			if _, err := conn.Write([]byte("ask")); err != nil {
				t.Fatal(err)
			}
			want, buf := lab.DatagramReply(m.Name(), n, []byte("ask")), make([]byte, 100)
			size, err := conn.Read(buf)
			if err != nil || string(buf[:size]) != want {
				t.Errorf("%s answered %q (%v), want %q", addr, buf[:size], err, want)
			}
			e := wait(t, m, lab.Datagram)
			if e.Detail != "ask" || e.Remote.String() != conn.LocalAddr().String() || e.Service.AddrPort().String() != addr {
				t.Errorf("datagram %q from %s to %s, want %q from %s to %s",
					e.Detail, e.Remote, e.Service, "ask", conn.LocalAddr(), addr)
			}
		}
	}
}

func TestEventsFollowsTheLog(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	m := addMachine(t, l, nas())
	ctx, cancel := context.WithCancel(testContext(t))
	events := m.Events(ctx)
	putToSleep(t, m)
	for _, want := range []lab.EventKind{lab.NetworkUp, lab.ServiceUp, lab.AsleepNow} {
		if e := <-events; e.Kind != want || e.Time.IsZero() {
			t.Errorf("event %v, want %s", e, want)
		}
	}
	cancel()
	if e, open := <-events; open {
		t.Errorf("after the end of its context Events sent %v", e)
	}
	if _, err := m.WaitEvent(ctx, lab.NetworkUp); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitEvent with a context that has ended: %v", err)
	}
}
