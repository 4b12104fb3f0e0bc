package lab_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
)

// TestDeafCard misses what comes too early, and counts it.
func TestDeafCard(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	m := addMachine(t, l, nas())
	putToSleep(t, m)
	const deaf = 300 * time.Millisecond
	m.Deafen(deaf)
	began, sent := time.Now(), 0
	for m.State() == lab.Asleep && time.Since(began) < patience {
		sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, m.MAC()))
		sent++
		time.Sleep(20 * time.Millisecond)
	}
	on := wait(t, m, lab.PoweredOn)
	if on.Time.Sub(began) < deaf {
		t.Errorf("powered on %v after it went deaf, want %v at least", on.Time.Sub(began), deaf)
	}
	if m.MagicCount() != sent || wait(t, m, lab.MagicPacket).Detail != "missed" {
		t.Errorf("%d of %d magic packets counted", m.MagicCount(), sent)
	}
}

// TestHalfDeafCard hears every second round, in each sleep anew.
func TestHalfDeafCard(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas()
	cfg.HalfDeaf = true
	m := addMachine(t, l, cfg)
	for night := range 2 {
		putToSleep(t, m)
		for range 2 { // a round
			sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, m.MAC()))
			if e := wait(t, m, lab.MagicPacket); e.Detail != "missed" {
				t.Errorf("night %d: the first round %s", night, e.Detail)
			}
		}
		time.Sleep(150 * time.Millisecond)
		sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, m.MAC()))
		if e := wait(t, m, lab.MagicPacket); e.Detail != "wakes the machine" {
			t.Errorf("night %d: the second round is %s", night, e.Detail)
		}
		wait(t, m, lab.NetworkUp)
	}
}

// TestFlap: for a while the machine has neither link nor address, and then tests
// its addresses once more. Its connections and services live on.
func TestFlap(t *testing.T) {
	t.Parallel()
	for _, suspend := range []bool{false, true} {
		l := newLAN(t)
		cfg := nas6()
		cfg.Suspend, cfg.Flap = suspend, lab.Flap{After: 300 * time.Millisecond, For: 3 * time.Second}
		m := addMachine(t, l, cfg)
		putToSleep(t, m)
		if err := m.PowerOn(); err != nil {
			t.Fatal(err)
		}
		up, down := wait(t, m, lab.NetworkUp), wait(t, m, lab.CardDown)
		capture, err := l.CapturePort(testContext(t), m.Host)
		if err != nil {
			t.Fatal(err)
		}
		knockEverywhere(t, l.Client(), m, 500*time.Millisecond)
		again := wait(t, m, lab.NetworkUp)
		if d, away := down.Time.Sub(up.Time), again.Time.Sub(down.Time); d < cfg.Flap.After || away < cfg.Flap.For {
			t.Errorf("down after %v for %v, want %v and %v", d, away, cfg.Flap.After, cfg.Flap.For)
		}
		for _, ip := range []netip.Addr{m.Addr4(), m.Addr6()} {
			if err := l.Client().ForgetNeighbor(ip); err != nil {
				t.Fatal(err)
			}
		}
		served(t, l.Client(), "10.77.0.20:22", "nas")
		served(t, l.Client(), "[fd77::20]:22", "nas")
		tested := func(f lab.Frame) bool {
			return f.Outgoing && f.EtherType() == 0x86dd && netip.AddrFrom16([16]byte(f.Data[22:38])).IsUnspecified()
		}
		if !slices.ContainsFunc(capture.Frames(), tested) {
			t.Error("no duplicate address detection after the flap")
		}
	}
}

// TestSleepEndsAFlap: the power goes while the card is down.
func TestSleepEndsAFlap(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas6()
	cfg.Flap = lab.Flap{After: 300 * time.Millisecond, For: time.Hour} // its services are open by then
	m := addMachine(t, l, cfg)
	putToSleep(t, m)
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	wait(t, m, lab.CardDown)
	putToSleep(t, m)
	sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, m.MAC()))
	wait(t, m, lab.NetworkUp)
	wait(t, m, lab.NetworkUp)
}

// TestResumeKeepsTheNeighbors: it does not ask for those whom it knows.
func TestResumeKeepsTheNeighbors(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas6()
	cfg.Suspend = true
	m := addMachine(t, l, cfg)
	client := l.Client()
	for _, ip := range []netip.Addr{client.Addr4(), client.Addr6()} {
		if err := m.WarmNeighbor(testContext(t), ip); err != nil {
			t.Fatal(err)
		}
	}
	putToSleep(t, m)
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	wait(t, m, lab.NetworkUp)
	for _, ip := range []netip.Addr{client.Addr4(), client.Addr6()} {
		if mac, _, ok, err := m.Neighbor(ip); err != nil || !ok || mac != client.MAC() {
			t.Errorf("%v is at %v (%t, %v), want %v", ip, mac, ok, err, client.MAC())
		}
	}
}

// TestAsksRouter: the first words of the machine are a question to all.
func TestAsksRouter(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := nas6()
	cfg.AsksRouter = true
	m := addMachine(t, l, cfg)
	putToSleep(t, m)
	capture, err := l.CapturePort(testContext(t), l.Client())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	for what, asks := range map[string]func(lab.Frame) bool{
		"ARP": func(f lab.Frame) bool { return isARPFrom(f, m.MAC(), m.Addr4(), l.Router().Addr4()) },
		"solicitation": func(f lab.Frame) bool {
			return f.Src() == m.MAC() && f.EtherType() == 0x86dd && f.Data[54] == 135 &&
				netip.AddrFrom16([16]byte(f.Data[22:38])) == m.Addr6() && netip.AddrFrom16([16]byte(f.Data[62:78])) == l.Router().Addr6()
		},
	} {
		if _, err := capture.Wait(testContext(t), asks); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
