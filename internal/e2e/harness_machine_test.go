package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// machineTest is a harness with nas.
type machineTest struct {
	*harness
	nas       *lab.Machine
	conf      string
	agentless bool
	began     time.Time // the porter's first start
}

// knownBy are the ways in which the porter knows a machine and claims its addresses.
var knownBy = []struct {
	name, conf string
	agentless  bool
}{
	{"registered", "", false},
	{"agentless", "", true},
	{"bind", "claim: {mode: bind}\n", false},
}

// openMachine starts a daemon for nas, which is awake. An agentless nas is known when it
// returns.
func openMachine(t *testing.T, conf string, agentless bool, change func(*lab.MachineConfig)) *machineTest {
	t.Helper()
	t.Parallel()
	ctx, network := newLANFor(t, 3*time.Minute)
	return openMachineOn(ctx, t, network, conf, agentless, change)
}

// openMachineOn is openMachine on an existing LAN.
func openMachineOn(ctx context.Context, t *testing.T, network *lab.LAN, conf string, agentless bool, change func(*lab.MachineConfig)) *machineTest {
	t.Helper()
	bare := &harness{TB: t, ctx: ctx, lan: network}
	s := &machineTest{nas: bare.addNAS(change), conf: conf, agentless: agentless}
	if agentless {
		s.conf += strings.TrimPrefix(agentlessConf(s.nas.MAC(), s.addrs()...), fastProbe)
	}
	s.harness, s.began = openOn(ctx, t, network, s.conf), time.Now()
	if agentless {
		waitPlaced(s.harness, 0)
	}
	return s
}

// addrs returns the addresses that nas has.
func (s *machineTest) addrs() (all []netip.Addr) {
	for _, ip := range []netip.Addr{s.nas.Addr4(), s.nas.Addr6()} {
		if ip.IsValid() {
			all = append(all, ip)
		}
	}
	return all
}

// sleepClaimed registers nas and lets it sleep until it is claimed.
func (s *machineTest) sleepClaimed() {
	s.Helper()
	n := s.daemon.Log.Len()
	if !s.agentless {
		var monitor []monitored
		for _, ip := range s.addrs() {
			monitor = append(monitor, monitored{ip, []any{22, "27015/udp", "icmp"}})
		}
		answer, err := s.daemon.RegisterIn(s.within(10*time.Second), s.nas.Host, porterAddr(s.lan.Porter(), s.nas), []string{registration("nas", s.nas.MAC(), monitor...)}, 0)
		s.must(err)
		if answer != "OK." {
			s.Fatalf("registration answered %q", answer)
		}
	}
	s.waitAsleep(n)
}

// waitAsleep lets nas sleep until it is claimed; n is the length of the log before its
// registration.
func (s *machineTest) waitAsleep(n int) {
	s.Helper()
	s.must(s.nas.Sleep(s.ctx))
	limit := 20 * time.Second
	if s.agentless { // no silence counts for 30 s after a start
		limit += max(0, time.Until(s.began.Add(30*time.Second)))
	}
	s.waitState(limit, n, "nas", "asleep")
}

// wantServed connects to the sleeping nas, and expects that it was woken by a magic packet.
func (s *machineTest) wantServed(ip netip.Addr) {
	s.Helper()
	n, magic := s.daemon.Log.Len(), s.nas.MagicCount()
	s.call(s.lan.Client(), s.nas, ip, 22)
	s.waitState(10*time.Second, n, "nas", "awake")
	if s.nas.MagicCount() == magic {
		s.Error("served without a magic packet: it was not asleep")
	}
}

// journalLines returns the number of records in the journal.
func journalLines(h *harness) int {
	h.Helper()
	b, err := os.ReadFile(filepath.Join(h.daemon.Dir(), "journal.jsonl"))
	h.must(err)
	return bytes.Count(b, []byte("\n"))
}

// waitWhoHas broadcasts requests for ip until mac answers. Other answers before that are
// ignored.
func waitWhoHas(h *harness, limit time.Duration, from *lab.Host, ip netip.Addr, mac ether.MAC) {
	h.Helper()
	for deadline := time.Now().Add(limit); ; {
		got := whoHas(h, from, ip)
		if got == mac {
			return
		}
		if time.Now().After(deadline) {
			h.Fatalf("%s has %v at %v after %v, want %v", from.Name(), ip, got, limit, mac)
		}
	}
}

// whoHas broadcasts a request for an address, and returns the MAC that answers.
func whoHas(h *harness, from *lab.Host, ip netip.Addr) ether.MAC {
	h.Helper()
	h.must(from.ForgetNeighbor(ip))
	ctx, cancel := context.WithTimeout(h.ctx, 300*time.Millisecond)
	defer cancel()
	_ = from.WarmNeighbor(ctx, ip) // without an answer there is no MAC
	mac, _, _, err := from.Neighbor(ip)
	h.must(err)
	return mac
}

// countClaims returns the number of the porter's frames since a moment that claim ip.
func countClaims(h *harness, capture *lab.Capture, since time.Time, ip netip.Addr) (count int) {
	for _, f := range capture.Frames() {
		if f.Time.After(since) && f.Src() == h.lan.Porter().MAC() && isClaim(f, h.lan.Porter().MAC(), ip) {
			count++
		}
	}
	return count
}

// sleepRegisteredAs registers m with the given text and lets it sleep until it is claimed.
// Several can run at once.
func sleepRegisteredAs(ctx context.Context, h *harness, m *lab.Machine, text string) error {
	n := h.daemon.Log.Len()
	answer, err := h.daemon.RegisterIn(ctx, m.Host, porterAddr(h.lan.Porter(), m), []string{text}, 0)
	if err != nil {
		return err
	}
	if answer != "OK." {
		return fmt.Errorf("registration answered %q", answer)
	}
	if err := m.Sleep(ctx); err != nil {
		return err
	}
	_, err = h.daemon.Log.Wait(ctx, n, asleepNow(m))
	return err
}

// porterAddr returns the porter's address of a family that m has.
func porterAddr(porter *lab.Host, m *lab.Machine) netip.Addr {
	if m.Addr4().IsValid() {
		return porter.Addr4()
	}
	return porter.Addr6()
}

// lastUp returns when a service came up last, or zero.
func lastUp(m *lab.Machine, to netip.AddrPort) (at time.Time) {
	for _, e := range m.Log() {
		if e.Kind == lab.ServiceUp && e.Service.AddrPort() == to && e.Service.Network == "tcp" {
			at = e.Time
		}
	}
	return at
}

// asleepNow matches the log line of m's claim.
func asleepNow(m *lab.Machine) func(labdaemon.Entry) bool {
	return labdaemon.Moved(m.Name(), "settling", "asleep", string(machine.WhySilent))
}

// modes are the ways to claim an address, as configurations.
var modes = []struct{ name, conf string }{
	{"responder", "claim: {mode: responder}\n"},
	{"bind", "claim: {mode: bind}\n"},
}
