package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/lab"
)

// maxReadyDelay is the longest delay of a client that waits for a service.
const maxReadyDelay = 200 * time.Millisecond

// settings are the ways in which the porter knows a machine and claims its addresses, and
// whether its host forwards.
var settings = []setting{
	{name: "registered"},
	{name: "agentless", agentless: true},
	{name: "bind", conf: "claim: {mode: bind}\n"},
	{name: "forwarding", forwards: true},
}

type setting struct {
	name, conf          string
	agentless, forwards bool
}

// openMachineIn is openMachine for a setting.
func openMachineIn(t *testing.T, in setting, conf string, change func(*lab.MachineConfig)) *machineTest {
	t.Helper()
	s := openMachine(t, conf+in.conf, in.agentless, change)
	if in.forwards {
		forward(t, s.lan.Porter())
	}
	return s
}

// addClient adds a client, 10.77.0.n and fd77::n.
func (h *harness) addClient(name string, n int) *lab.Host {
	h.Helper()
	host, err := h.lan.AddHost(name, netip.MustParsePrefix(fmt.Sprintf("10.77.0.%d/24", n)), netip.MustParsePrefix(fmt.Sprintf("fd77::%d/64", n)))
	h.must(err)
	return host
}

// addHardenedClient adds a client that ignores gratuitous ARP and unsolicited advertisements,
// as hardened desktops do.
func (h *harness) addHardenedClient(name string, n int) *lab.Host {
	h.Helper()
	host := h.addClient(name, n)
	h.must(host.Sysctl("net/ipv4/conf/"+lab.Interface+"/drop_gratuitous_arp", "1"))
	h.must(host.Sysctl("net/ipv6/conf/"+lab.Interface+"/drop_unsolicited_na", "1"))
	return host
}

// resolveRouter lets a host resolve its router, as every host does now and then.
func resolveRouter(ctx context.Context, h *harness, host *lab.Host) error {
	for _, ip := range []netip.Addr{h.lan.Router().Addr4(), h.lan.Router().Addr6()} {
		if err := host.ForgetNeighbor(ip); err != nil {
			return err
		}
		if err := host.WarmNeighbor(ctx, ip); err != nil {
			return err
		}
	}
	return nil
}

// wantAtOnce waits for a call, and expects that the client was connected as soon as its
// service was up.
func (s *machineTest) wantAtOnce(who string, p pending) *call {
	s.Helper()
	got := <-p
	if got.error != nil {
		s.Errorf("%s: %v; %v", who, got.error, s.transitions(0, "nas"))
		s.logStory()
		return nil
	}
	s.Cleanup(func() { got.conn.Close() })
	if want := lab.Banner(s.nas.Name()); got.banner != want {
		s.Errorf("%s: the service said %q, want %q", who, got.banner, want)
	}
	late := got.ended.Sub(lastUp(s.nas, got.to))
	s.Logf("%s was connected %v after the service was up", who, late.Round(10*time.Microsecond))
	if late > maxReadyDelay {
		s.Errorf("%s was connected %v after the service was up, want %v at most", who, late, maxReadyDelay)
	}
	return got.call
}

// wantWokenOnce expects that nas was woken once, and that no wake failed.
func (s *machineTest) wantWokenOnce() {
	s.Helper()
	s.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
	if got := s.events("nas", journal.Failed); len(got) > 0 {
		s.Errorf("events of failed wakes: %+v", got)
	}
}

// logStory logs the lines of the porter and the events of nas.
func (s *machineTest) logStory() {
	s.Helper()
	for _, e := range s.daemon.Log.Entries(0) {
		s.Logf("%s porter: %s %v", e.Time.Format("04:05.000"), e.Message, e.Fields)
	}
	for _, e := range s.nas.Log() {
		s.Logf("%s nas: %s %s", e.Time.Format("04:05.000"), e.Kind, e.Detail)
	}
}
