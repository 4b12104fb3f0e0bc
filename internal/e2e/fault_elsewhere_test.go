package e2e

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
)

// TestFieldElsewhere: the machine returns with another address, and sends a frame every 5 s.
// The porter reports that once. It no longer announces the old address, counts no sleep, and
// sends no magic packet.
func TestFieldElsewhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		from, to netip.Prefix
	}{
		{"IPv4", netip.PrefixFrom(nas4, 24), netip.MustParsePrefix("10.77.0.77/24")},
		{"IPv6", netip.PrefixFrom(nas6, 64), netip.MustParsePrefix("fd77::77/64")},
	} {
		for _, knocked := range []bool{false, true} {
			for _, way := range knownBy {
				name := c.name + "/" + way.name
				if knocked {
					name += "/by a knock"
				}
				t.Run(name, func(t *testing.T) {
					variantUnless(t, way.name == "registered" && knocked == (c.name == "IPv6"))
					s := openMachine(t, fieldProbe+"wake: {attempts: 3, interval: 3s}\n"+way.conf, way.agentless,
						func(m *lab.MachineConfig) { m.Addrs, m.ARPProbe, m.Announce = []netip.Prefix{c.from}, true, true })
					old, now := c.from.Addr(), c.to.Addr()
					capture := s.capturePort(s.lan.Porter())
					s.sleepClaimed()
					s.must(s.nas.Readdress(c.to))
					n := s.daemon.Log.Len()
					if knocked {
						call := s.startConnecting(s.lan.Client(), old, 22)
						s.waitEvent(s.nas, lab.NetworkUp)
						call.cancel()
					} else {
						s.must(s.nas.PowerOn())
						s.waitEvent(s.nas, lab.NetworkUp)
					}
					s.broadcastOften(now)
					s.waitState(20*time.Second, n, "nas", "awake")
					settled := time.Now()
					s.waitAPIEvent("nas", "elsewhere", aboutAddress(now))
					slept, magic, lines := knownMachine(s.harness, "nas").SleptSeconds, s.nas.MagicCount(), journalLines(s.harness)

					// For half a minute the machine's frames and a knock have no effect.
					time.Sleep(10 * time.Second)
					wantNoConnection(s.harness, old)
					time.Sleep(10 * time.Second)
					if got := countMoves(s.harness, n, "nas", "awake"); got != 1 {
						t.Errorf("%d times awake, want once: %v", got, s.transitions(n, "nas"))
					}
					if got := s.events("nas", "elsewhere"); len(got) != 1 {
						t.Errorf("%d events tell where it is: %+v", len(got), got)
					}
					if got := countWarnings(s.harness, n, now); got != 1 {
						t.Errorf("%d warnings name %v, want one", got, now)
					}
					if got := countClaims(s.harness, capture, settled.Add(200*time.Millisecond), old); got > 0 {
						t.Errorf("%v was claimed in %d frames while the machine was elsewhere", old, got)
					}
					if got := knownMachine(s.harness, "nas").SleptSeconds; got != slept {
						t.Errorf("slept %v s, and %v when it came", got, slept)
					}
					if got := s.nas.MagicCount(); got != magic {
						t.Errorf("%d magic packets for a machine that is awake", got-magic)
					}
					if got := journalLines(s.harness); got > lines+5 {
						t.Errorf("the journal grew from %d to %d lines", lines, got)
					}
					if !way.agentless {
						s.sleepClaimed() // it registers its new address
						s.wantServed(now)
					}
				})
			}
		}
	}
}

// broadcastOften lets nas send broadcasts every 5 s until the test ends: a request for its
// router, and a datagram.
func (s *machineTest) broadcastOften(from netip.Addr) {
	s.Helper()
	router, all := netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("10.77.0.255")
	ask := lab.Forger.ARPRequest
	if from.Is6() {
		router, all = netip.MustParseAddr("fd77::1"), netip.MustParseAddr("ff02::fb")
		ask = lab.Forger.Solicit
	}
	itself := s.nas.Forge(s.nas.MAC())
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	s.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		every := time.NewTicker(5 * time.Second)
		defer every.Stop()
		for ctx.Err() == nil {
			if s.nas.State() == lab.Awake && slices.Contains(s.addrs(), from) {
				if err := errors.Join(ask(itself, from, router), itself.Datagram(ether.Broadcast,
					netip.AddrPortFrom(from, 5353), netip.AddrPortFrom(all, 5353), []byte("here"))); err != nil {
					s.Error(err)
				}
			}
			select {
			case <-every.C:
			case <-ctx.Done():
			}
		}
	}()
}

// wantNoConnection tries for 5 s to connect to an address that no host has.
func wantNoConnection(h *harness, ip netip.Addr) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, 5*time.Second)
	defer cancel()
	if conn, err := h.lan.Client().Dial(ctx, "tcp", netip.AddrPortFrom(ip, 22).String()); err == nil {
		conn.Close()
		h.Errorf("connected to %v", ip)
	}
}

// countWarnings counts the warnings that name an address.
func countWarnings(h *harness, n int, ip netip.Addr) (count int) {
	for _, e := range h.daemon.Log.Entries(n) {
		if lineSays("WARN", ip.String())(e) {
			count++
		}
	}
	return count
}

// TestFieldElsewhereAndBack: the machine returns to its old address, and is claimed and served
// again.
func TestFieldElsewhereAndBack(t *testing.T) {
	s := openMachine(t, forgotten, false, func(m *lab.MachineConfig) {
		m.Addrs, m.ARPProbe, m.Announce = []netip.Prefix{netip.PrefixFrom(nas4, 24)}, true, true
	})
	s.sleepClaimed()
	s.must(s.nas.Readdress(netip.MustParsePrefix("10.77.0.77/24")))
	n := s.daemon.Log.Len()
	s.must(s.nas.PowerOn())
	s.waitEvent(s.nas, lab.NetworkUp)
	s.broadcastOften(s.nas.Addr4())
	s.waitAPIEvent("nas", "elsewhere", func(e journal.Event) bool { return e.IP == s.nas.Addr4() })
	s.waitState(20*time.Second, n, "nas", "awake")
	n = s.daemon.Log.Len()
	s.must(s.nas.Sleep(s.ctx))
	s.must(s.nas.Readdress(netip.PrefixFrom(nas4, 24)))
	s.waitState(maxClaimDelay, n, "nas", "asleep")
	s.wantServed(nas4)
	s.waitState(time.Second, n, "nas", "awake")
}
