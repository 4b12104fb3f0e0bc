package e2e

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
)

// replaceCard removes nas from the LAN and returns a machine with its addresses and another
// network card.
func (s *machineTest) replaceCard() *lab.Machine {
	s.Helper()
	s.must(s.nas.PowerCut(s.ctx))
	s.must(s.lan.SetCable(s.nas.Host, false))
	renewed, err := s.lan.AddMachine(lab.MachineConfig{
		Name: "renewed", MAC: ether.MAC{2, 0x77, 0, 0, 0xca, 0x4d}, Boot: 450 * time.Millisecond,
		Addrs:    []netip.Prefix{netip.PrefixFrom(nas4, 24), netip.PrefixFrom(nas6, 64)},
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22}},
	})
	s.must(err)
	return renewed
}

// registerByCommand registers a machine by the name nas with the register command.
func registerByCommand(h *harness, from *lab.Host) (string, error) {
	h.Helper()
	return h.runOn(from, "register", "--to", h.lan.Porter().Addr4().String(), "--name", "nas", "--port", "22/tcp")
}

// TestFieldNewCard: the machine has a new network card, with the name and the addresses of the
// old one. The new card proves the addresses, and the old one neither answers nor sleeps. The
// name moves to the new card.
func TestFieldNewCard(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, woken := range []bool{true, false} { // false: it registered, and did not sleep
			name := mode.name + "/awake"
			if !woken {
				name = mode.name + "/stayed up"
			}
			t.Run(name, func(t *testing.T) {
				variantUnless(t, mode.name == "responder")
				s := openMachine(t, forgotten+mode.conf, false, nil)
				n := s.daemon.Log.Len()
				if woken {
					s.sleepClaimed()
					s.wantServed(nas4)
				} else {
					s.register(s.nas.Host, nasRegistration(s.nas))
					s.waitState(10*time.Second, n, "nas", "awake")
				}
				old, wakes := s.nas.MAC(), s.metric(`nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
				renewed := s.replaceCard()
				n = s.daemon.Log.Len()
				if out, err := registerByCommand(s.harness, renewed.Host); err != nil {
					t.Fatalf("the client ended with %v: %s", err, out)
				}
				s.waitAPIEvent("nas", "card_replaced", func(e journal.Event) bool { return e.By == old.String() })
				waitLine(s.harness, n, "INFO WARN", "nas", old.String(), renewed.MAC().String())
				all := knownMachines(s.harness)
				if len(all) != 1 || all[0].MAC != renewed.MAC() {
					t.Errorf("known are %+v, want the new card alone", all)
				}
				s.must(renewed.Sleep(s.ctx))
				s.waitState(10*time.Second, n, "nas", "asleep")
				s.call(s.lan.Client(), renewed, nas4, 22)
				s.waitState(10*time.Second, n, "nas", "awake")
				s.wantMetric(wakes+1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
			})
		}
	}
}

// TestFieldNameOfAnotherMachine: another machine does not get a name whose machine answers or
// sleeps. It gets a numbered name.
func TestFieldNameOfAnotherMachine(t *testing.T) {
	t.Parallel()
	for _, asleep := range []bool{false, true} {
		t.Run(map[bool]string{false: "awake", true: "asleep"}[asleep], func(t *testing.T) {
			s := openMachine(t, forgotten, false, nil)
			n := s.daemon.Log.Len()
			s.sleepClaimed()
			if !asleep {
				s.wantServed(nas4)
			}
			pc := addPC(s.harness)
			out, err := registerByCommand(s.harness, pc.Host)
			if err != nil {
				t.Errorf("a taken name refuses a registration: %v, %s", err, out)
			}
			if got := knownMachine(s.harness, "nas").MAC; got != s.nas.MAC() {
				t.Errorf("nas is at %v", got)
			}
			if got := knownMachine(s.harness, "nas-2").MAC; got != pc.MAC() {
				t.Errorf("nas-2 is at %v", got)
			}
			if got := s.events("nas", "card_replaced"); len(got) > 0 {
				t.Errorf("events of a new card: %+v", got)
			}
			if !asleep {
				s.sleepClaimed()
			}
			s.wantServed(nas6)
			s.waitState(time.Second, n, "nas", "awake")
		})
	}
}

// managementFirmware configures a machine whose management firmware answers while it sleeps.
func managementFirmware(c *lab.MachineConfig) { c.Managed, c.Boot = true, 1450*time.Millisecond }

// TestFieldManagementFirmware: the firmware answers ARP, solicitations and ping with the
// machine's MAC and address, and drops the rest. No service answers, not even by RST. So the
// machine sleeps, and is claimed if the operator permits it.
func TestFieldManagementFirmware(t *testing.T) {
	t.Parallel()
	for _, way := range knownBy {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(way.name+"/"+ip.String(), func(t *testing.T) {
				variantUnless(t, way.name == "registered" && ip == nas4 || way.name == "bind" && ip == nas6)
				claim := "claim: {override_offload: true}\n"
				if way.conf != "" {
					claim = "claim: {mode: bind, override_offload: true}\n"
				}
				s := openMachine(t, hasty+claim, way.agentless, managementFirmware)
				client := s.lan.Client()
				for range 2 { // the first sleep identifies the firmware
					s.sleepClaimed()
					s.must(client.ForgetNeighbor(ip))
					on := len(s.nas.Log())
					n := s.daemon.Log.Len()
					s.call(client, s.nas, ip, 22)
					s.waitState(10*time.Second, n, "nas", "awake")
					for _, e := range s.nas.Log()[on:] {
						if e.Kind == lab.PoweredOn {
							wantNotAwakeBefore(s.harness, n, e.Time.Add(1450*time.Millisecond))
						}
					}
					if happened(s.nas, lab.DADFailed) {
						t.Error("duplicate address detection failed")
					}
				}
			})
		}
	}
}

// wantNotAwakeBefore expects that the porter did not count the machine as awake before its boot
// ended. The firmware answers during the boot as well.
func wantNotAwakeBefore(h *harness, n int, boot time.Time) {
	h.Helper()
	for _, e := range h.daemon.Log.Entries(n) {
		if e.Field("to") == "awake" && e.Time.Before(boot) {
			h.Errorf("handed over %v before it was up: %v", boot.Sub(e.Time), h.transitions(n, "nas"))
		}
	}
}

// TestFieldManagementFirmwareIsNamed: without the override the machine counts as awake. The log
// names what answers, and the remedy.
func TestFieldManagementFirmwareIsNamed(t *testing.T) {
	s := openMachine(t, hasty, false, managementFirmware)
	s.register(s.nas.Host, nasRegistration(s.nas))
	s.must(s.nas.Sleep(s.ctx))
	s.waitState(20*time.Second, 0, "nas", "awake")
	waitLine(s.harness, 0, "WARN", "nas", "management firmware", "claim.override_offload")
	for _, ip := range s.addrs() {
		s.wantNeighbor(s.lan.Client(), ip, s.nas.MAC())
	}
	if s.nas.MagicCount() > 0 || happened(s.nas, lab.PoweredOn) {
		t.Error("it was woken")
	}
}

// TestFieldManagedMachineThatRuns: the machine's services answer, so it is not claimed,
// although it sends nothing unprompted.
func TestFieldManagedMachineThatRuns(t *testing.T) {
	s := openMachine(t, overridden, false, managementFirmware)
	s.register(s.nas.Host, nasRegistration(s.nas))
	s.waitState(20*time.Second, 0, "nas", "awake")
	if got := countMoves(s.harness, 0, "nas", "asleep"); got > 0 {
		t.Errorf("claimed: %v", s.transitions(0, "nas"))
	}
}
