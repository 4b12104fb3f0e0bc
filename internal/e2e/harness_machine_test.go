package e2e

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
)

// subject is a house with nas in it, which a test has in several kinds.
type machineTest struct {
	*harness
	nas       *lab.Machine
	conf      string
	agentless bool
	began     time.Time // when the porter was started first
}

// ways are the ways in which the porter knows a machine and claims its addresses.
var knownBy = []struct {
	name, conf string
	agentless  bool
}{
	{"registered", "", false},
	{"agentless", "", true},
	{"bind", "claim: {mode: bind}\n", false},
}

// prepare opens a house for nas, which is awake and known when it returns. Closed,
// the porter's port lets nothing through, and nas is only known if it is agentless.
func openMachine(t *testing.T, conf string, agentless bool, change func(*lab.MachineConfig)) *machineTest {
	t.Helper()
	t.Parallel()
	ctx, network := newLANFor(t, 3*time.Minute)
	return openMachineOn(ctx, t, network, conf, agentless, change)
}

// prepareOn is prepare on a LAN that is there already.
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

// sleeps lets nas sleep until it is claimed.
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

// goesToSleep lets nas sleep until it is claimed; n is how long the log was before it
// said so.
func (s *machineTest) waitAsleep(n int) {
	s.Helper()
	s.must(s.nas.Sleep(s.ctx))
	limit := 20 * time.Second
	if s.agentless { // after a start its silence proves nothing for 30 s
		limit += max(0, time.Until(s.began.Add(30*time.Second)))
	}
	s.waitState(limit, n, "nas", "asleep")
}

// serves connects to nas in its sleep, and expects that it was woken for that.
func (s *machineTest) wantServed(ip netip.Addr) {
	s.Helper()
	n, magic := s.daemon.Log.Len(), s.nas.MagicCount()
	s.call(s.lan.Client(), s.nas, ip, 22)
	s.waitState(10*time.Second, n, "nas", "awake")
	if s.nas.MagicCount() == magic {
		s.Error("served without a magic packet: it was not asleep")
	}
}

// lines returns how many records the journal has.
func journalLines(h *harness) int {
	h.Helper()
	b, err := os.ReadFile(filepath.Join(h.daemon.Dir(), "journal.jsonl"))
	h.must(err)
	return bytes.Count(b, []byte("\n"))
}

// resolves asks everybody for ip as from, until mac answers; who else answers
// meanwhile may.
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

// whoHas asks everybody for an address, and returns who answers.
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

// claiming returns how many frames of the porter since a moment say that ip is
// at its MAC.
func countClaims(h *harness, capture *lab.Capture, since time.Time, ip netip.Addr) (count int) {
	for _, f := range capture.Frames() {
		if f.Time.After(since) && f.Src() == h.lan.Porter().MAC() && isClaim(f, h.lan.Porter().MAC(), ip) {
			count++
		}
	}
	return count
}
