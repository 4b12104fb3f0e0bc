package e2e

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

// missingAddress is an address that the porter's host loses for a time.
type missingAddress struct {
	name       string
	take, give func(*harness)
	ip         netip.Addr // of nas; the porter cannot reach it
	other      netip.Addr // of nas; the porter can reach it
	porter     func(*lab.Host) netip.Addr
	linkLocal  bool // the remaining address is enough to reach it
}

var (
	porter4 = netip.MustParsePrefix("10.77.0.2/24")
	porter6 = netip.MustParsePrefix("fd77::2/64")
)

var missingAddresses = []missingAddress{
	{name: "no IPv4", ip: nas4, other: nas6, porter: (*lab.Host).Addr6,
		take: func(h *harness) { h.must(h.lan.Porter().DelAddr(porter4)) },
		give: func(h *harness) { h.must(h.lan.Porter().AddAddr(h.ctx, porter4)) }},
	{name: "no IPv6", ip: nas6, other: nas4, porter: (*lab.Host).Addr4,
		take: func(h *harness) { h.must(h.lan.Porter().Sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")) },
		give: func(h *harness) {
			h.must(h.lan.Porter().Sysctl("net/ipv6/conf/eth0/disable_ipv6", "0"))
			h.must(h.lan.Porter().AddAddr(h.ctx, porter6))
		}},
	// A host that forwards has no address from router advertisements.
	{name: "link-local IPv6 only", ip: nas6, other: nas4, porter: (*lab.Host).Addr4, linkLocal: true,
		take: func(h *harness) { h.must(h.lan.Porter().DelAddr(porter6)) },
		give: func(h *harness) { h.must(h.lan.Porter().AddAddr(h.ctx, porter6)) }},
}

// takeAway removes an address from the porter's host, and waits until the porter has noticed.
func takeAway(h *harness, l missingAddress) {
	h.Helper()
	n := h.daemon.Log.Len()
	l.take(h)
	_, err := h.daemon.Log.Wait(h.within(10*time.Second), n, func(e labdaemon.Entry) bool { return e.Message == "this host's addresses have changed" })
	h.must(err)
}

// TestFieldUnreachableAddress: a machine registers an address that is in no network of the
// porter. Its other address is claimed and served. The log, the events and the API name this
// one, and it is claimed once it can be.
func TestFieldUnreachableAddress(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, missing := range missingAddresses {
			t.Run(mode.name+"/"+missing.name, func(t *testing.T) {
				variantUnless(t, mode.name == "responder")
				h := openFor(t, fieldProbe+mode.conf, 2*time.Minute)
				nas := h.addNAS(nil)
				takeAway(h, missing)
				n := h.daemon.Log.Len()
				to := netip.AddrPortFrom(missing.porter(h.lan.Porter()), labdaemon.RegistrationPort).String()
				register := func() {
					t.Helper()
					if out, err := h.runOn(nas.Host, "register", "--to", to, "--name", "nas", "--port", "22/tcp"); err != nil {
						t.Fatalf("the client ended with %v: %s", err, out)
					}
				}
				register()
				if !missing.linkLocal {
					waitLine(h, n, "INFO WARN", missing.ip.String())
					if e := h.waitAPIEvent("nas", "address_waiting", aboutAddress(missing.ip)); e.Reason == "" {
						t.Error("the event has no reason")
					}
					if a := waitStanding(h, time.Second, missing.ip, "waiting"); a.Reason == "" {
						t.Error("the API has no reason")
					}
				}
				h.must(nas.Sleep(h.ctx))
				h.waitState(10*time.Second, n, "nas", "asleep")
				waitStanding(h, time.Second, missing.other, "claimed")
				h.call(h.lan.Client(), nas, missing.other, 22)
				h.waitState(10*time.Second, n, "nas", "awake")

				if !missing.linkLocal {
					if missing.give(h); t.Failed() {
						return
					}
					h.waitAPIEvent("nas", "address_claimable", aboutAddress(missing.ip))
				}
				// It has answered for the address since it woke: that proves the address.
				waitStanding(h, 15*time.Second, missing.ip, "own", "returned")
				n = h.daemon.Log.Len()
				register()
				h.must(nas.Sleep(h.ctx))
				h.waitState(10*time.Second, n, "nas", "asleep")
				waitStanding(h, time.Second, missing.ip, "claimed")
				h.call(h.lan.Client(), nas, missing.ip, 22)
			})
		}
	}
}

// TestFieldAddressThatIsNotThereYet: a machine registers an address that no host has at this
// moment, or that is in no network of the porter.
func TestFieldAddressThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	for name, ip := range map[string]netip.Addr{
		"no answer":  netip.MustParseAddr("10.77.0.21"),
		"no network": netip.MustParseAddr("10.99.0.20"),
		"IPv6":       netip.MustParseAddr("fd99::20"),
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, fieldProbe)
			nas := h.addNAS(nil)
			h.register(nas.Host, registration("nas", nas.MAC(), monitored{nas4, []any{22}}, monitored{ip, []any{22}}))
			waitLine(h, 0, "INFO WARN", ip.String())
			waitStanding(h, time.Second, ip, "waiting")
			h.waitAPIEvent("nas", "address_waiting", aboutAddress(ip))
			h.must(nas.Sleep(h.ctx))
			h.waitState(10*time.Second, 0, "nas", "asleep")
			waitStanding(h, time.Second, nas4, "claimed")
			// Under trust: self an address is claimed only if the machine has answered for it.
			if got := knownMachine(h, "nas").address(ip).Standing; got != "waiting" {
				t.Errorf("%v stands as %q in the machine's sleep, want it to wait", ip, got)
			}
			h.call(h.lan.Client(), nas, nas4, 22)
		})
	}
}

// TestFieldAddressesNeverClaimed: an address that can never be claimed refuses the whole
// registration. So does a registration without any claimable address.
func TestFieldAddressesNeverClaimed(t *testing.T) {
	h := open(t, fieldProbe)
	nas := h.addNAS(nil)
	for name, ip := range map[string]netip.Addr{
		"our own": h.lan.Porter().Addr4(), "the gateway's": h.lan.Router().Addr4(), "another machine's": h.lan.Client().Addr4(),
		"multicast": netip.MustParseAddr("224.0.0.1"), "loopback": netip.MustParseAddr("::1"),
	} {
		t.Log(name)
		h.wantRefused(nas.Host, registration("nas", nas.MAC(), monitored{nas4, []any{22}}, monitored{ip, []any{22}}), ip.String())
	}
	h.wantRefused(nas.Host, registration("nas", nas.MAC(), monitored{netip.MustParseAddr("10.99.0.20"), []any{22}}), "10.99.0.20")
	if all := knownMachines(h); len(all) > 0 {
		t.Errorf("known after refusals: %+v", all)
	}
	h.putToSleep(nas)
	h.call(h.lan.Client(), nas, nas4, 22)
}

// TestFieldRestartBeforeTheNetwork: the porter is killed, and starts while a part of its
// addresses is missing. It claims at once what it can, and the rest when its network is there.
// The machine stays known, and its totals stay.
func TestFieldRestartBeforeTheNetwork(t *testing.T) {
	t.Parallel()
	none := missingAddress{name: "nothing", ip: nas4, other: nas6,
		take: func(h *harness) { missingAddresses[0].take(h); missingAddresses[1].take(h) },
		give: func(h *harness) { missingAddresses[0].give(h); missingAddresses[1].give(h) }}
	for _, way := range knownBy {
		for _, missing := range append(missingAddresses, none) {
			t.Run(way.name+"/"+missing.name, func(t *testing.T) {
				variantUnless(t, way.name == "registered" || way.agentless && missing.name == "no IPv6")
				s := openMachine(t, fieldProbe+"interfaces: [eth0]\n"+way.conf, way.agentless, nil)
				s.sleepClaimed()
				s.wantServed(nas4)
				s.sleepClaimed()
				s.waitStored(string(journal.Asleep), 2)
				slept := knownMachine(s.harness, "nas").SleptSeconds
				s.daemon.Kill()
				missing.take(s.harness)
				s.wantKnownWithout(missing)
				client, porter := s.lan.Client(), s.lan.Porter().MAC()
				if missing.name != none.name {
					waitWhoHas(s.harness, 2*time.Second+slack, client, missing.other, porter)
				}
				missing.give(s.harness)
				waitWhoHas(s.harness, 2*time.Second+slack, client, missing.ip, porter)
				if missing.name == none.name {
					waitWhoHas(s.harness, 2*time.Second+slack, client, missing.other, porter)
				}
				if got := knownMachine(s.harness, "nas").SleptSeconds; got < slept {
					t.Errorf("slept %v s, and %v before the restart", got, slept)
				}
				s.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
				s.wantServed(missing.ip)
				s.wantMetric(2, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
			})
		}
	}
}

// wantKnownWithout restarts the daemon, and expects that it knows nas all the time while its
// network is incomplete.
func (s *machineTest) wantKnownWithout(l missingAddress) {
	s.Helper()
	s.restartUntil(s.conf, "/-/healthy") // without a network it is not ready
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if all := knownMachines(s.harness); len(all) != 1 {
			s.Fatalf("%s: %d machines are known, want one", l.name, len(all))
		}
	}
}

// TestFieldPorterAddressLost: the porter's host loses an address while a machine boots. The
// waiting client is served.
func TestFieldPorterAddressLost(t *testing.T) {
	t.Parallel()
	for _, way := range knownBy {
		for _, missing := range missingAddresses {
			t.Run(way.name+"/"+missing.name, func(t *testing.T) {
				variantUnless(t, missing.name == "no IPv4" && !way.agentless || way.agentless && missing.name == "no IPv6")
				s := openMachine(t, fieldProbe+"interfaces: [eth0]\n"+way.conf, way.agentless, func(m *lab.MachineConfig) {
					m.Boot = 2200 * time.Millisecond
				})
				s.sleepClaimed()
				n := s.daemon.Log.Len()
				served := s.callLater(s.lan.Client(), missing.ip, 22)
				s.waitEvent(s.nas, lab.PoweredOn)
				missing.take(s.harness)
				time.Sleep(time.Second)
				missing.give(s.harness)
				s.waitCall(served, s.nas)
				if got := countMoves(s.harness, n, "nas", "waking"); got != 1 {
					t.Errorf("%d wakes: %v", got, s.transitions(n, "nas"))
				}
			})
		}
	}
}
