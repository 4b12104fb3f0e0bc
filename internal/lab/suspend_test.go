package lab_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// TestSuspendedMachine is as silent as one that is off, and its connections go
// on where they were, with what was sent meanwhile.
func TestSuspendedMachine(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas6()
	cfg.Suspend, cfg.Announce, cfg.Boot = true, true, 100*time.Millisecond
	m := addMachine(t, l, cfg)
	conns := make(map[string]net.Conn)
	for _, addr := range []string{"10.77.0.20:22", "[fd77::20]:22"} {
		conn, err := l.Client().Dial(testContext(t), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if got, want := read(t, conn, len(lab.Banner("nas"))), lab.Banner("nas"); got != want {
			t.Fatalf("%s said %q, want %q", addr, got, want)
		}
		conns[addr] = conn
	}
	capture, err := l.CapturePort(testContext(t), m.Host)
	if err != nil {
		t.Fatal(err)
	}
	putToSleep(t, m)
	if m.State() != lab.Asleep {
		t.Errorf("the machine is %s, want asleep", m.State())
	}
	asleep := time.Now()
	for addr, conn := range conns {
		if _, err := conn.Write([]byte("are you there, " + addr)); err != nil {
			t.Fatal(err)
		}
	}
	var both sync.WaitGroup
	both.Go(func() { knockEverywhere(t, l.Client(), m, time.Second) })
	both.Go(func() { knockEverywhere(t, l.Porter(), m, time.Second) })
	both.Wait()
	for _, f := range capture.Frames() {
		if f.Outgoing && f.Time.After(asleep) {
			t.Errorf("suspended, the machine sent %s: %x", f, f.Data)
		}
	}
	if err := l.Porter().SendFrame(magicFrame(m.MAC(), m.MAC())); err != nil {
		t.Fatal(err)
	}
	wait(t, m, lab.NetworkUp)
	for addr, conn := range conns {
		if want, got := "are you there, "+addr, read(t, conn, len("are you there, "+addr)); got != want {
			t.Errorf("after the night %s said %q, want %q", addr, got, want)
		}
	}
	served(t, l.Client(), "10.77.0.20:22", "nas")
}

// TestPowerCutInSuspension: it boots as after any power cut.
func TestPowerCutInSuspension(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas6()
	cfg.Suspend = true
	m := addMachine(t, l, cfg)
	putToSleep(t, m)
	if err := m.PowerCut(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	for range m.Services() {
		wait(t, m, lab.ServiceUp)
	}
	served(t, l.Client(), "10.77.0.20:22", "nas")
	putToSleep(t, m)
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	wait(t, m, lab.NetworkUp)
	wait(t, m, lab.NetworkUp)
	served(t, l.Client(), "[fd77::20]:22", "nas")
}
