package e2e

import (
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

// TestFieldPortOpensLate: porter and switch start together, and the porter's port passes no
// frames at first. The machines behind it are awake.
func TestFieldPortOpensLate(t *testing.T) {
	t.Parallel()
	for _, way := range knownBy {
		for _, closed := range []time.Duration{20 * time.Second, 42 * time.Second} {
			t.Run(way.name+"/"+closed.String(), func(t *testing.T) {
				variantUnless(t, way.name == "registered" && closed < 30*time.Second || way.agentless && closed > 30*time.Second)
				s := openMachine(t, forgotten+way.conf, way.agentless, nil)
				if !way.agentless {
					s.sleepClaimed()
					s.wantServed(nas4)
				}
				s.daemon.Kill()
				s.must(s.lan.OpenPort(s.lan.Porter(), false))
				s.restart(s.conf)
				began := time.Now()
				s.wantNoClaim(0, min(closed, 29*time.Second))
				time.Sleep(time.Until(began.Add(closed)))
				capture := s.capturePort(s.lan.Porter())
				s.must(s.lan.OpenPort(s.lan.Porter(), true))
				s.wantLeftAlone(capture)
			})
		}
	}
}

// TestFieldPortClosesAgain: the porter's port passes no frames after an outage of the porter's
// cable.
func TestFieldPortClosesAgain(t *testing.T) {
	t.Parallel()
	for _, way := range knownBy {
		t.Run(way.name, func(t *testing.T) {
			variantUnless(t, way.agentless)
			s := openMachine(t, forgotten+way.conf, way.agentless, nil)
			if !way.agentless {
				s.sleepClaimed()
				s.wantServed(nas4)
			}
			porter, n := s.lan.Porter(), s.daemon.Log.Len()
			s.must(s.lan.SetCable(porter, false))
			s.waitInterfaceEvent(n, isOut, "eth0")
			s.must(s.lan.OpenPort(porter, false))
			s.must(s.lan.SetCable(porter, true))
			s.waitInterfaceEvent(n, isBack, "eth0")
			s.wantNoClaim(n, 20*time.Second)
			capture := s.capturePort(porter)
			s.must(s.lan.OpenPort(porter, true))
			s.wantLeftAlone(capture)
		})
	}
}

// wantNoClaim expects that silence leads to no claim for a while.
func (s *machineTest) wantNoClaim(n int, d time.Duration) {
	s.Helper()
	wantNoLine(s.harness, d, n, "claimed although nothing can be heard", labdaemon.Moved("nas", "", "asleep", ""))
}

// wantLeftAlone expects that the porter yields an address as soon as it hears of the machine,
// and that a later sleep is noticed.
func (s *machineTest) wantLeftAlone(capture *lab.Capture) {
	s.Helper()
	opened, client := time.Now(), s.lan.Client()
	for _, ip := range s.addrs() {
		waitWhoHas(s.harness, 5*time.Second, client, ip, s.nas.MAC())
	}
	for i, e := range s.daemon.Log.Entries(0) { // the porter may hear it a moment after the client
		if labdaemon.Moved("nas", "", "asleep", "")(e) {
			s.waitState(5*time.Second, i, "nas", "awake")
		}
	}
	ours := time.Now()
	for range 5 {
		for _, ip := range s.addrs() {
			if got := whoHas(s.harness, client, ip); got != s.nas.MAC() {
				s.Errorf("%v has %v, %v after the port opened", got, ip, time.Since(opened))
			}
		}
	}
	for _, ip := range s.addrs() {
		if got := countClaims(s.harness, capture, ours, ip); got > 0 {
			s.Errorf("the porter says in %d frames that it has %v", got, ip)
		}
	}
	magic := s.nas.MagicCount()
	s.call(client, s.nas, nas6, 22)
	if s.nas.MagicCount() != magic {
		s.Error("woken although it is up")
	}
	s.sleepClaimed()
	s.wantServed(nas4)
}
