package e2e

import (
	"encoding/json"
	"math"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// TestWake: a machine sleeps, a client knocks, the machine wakes, and has its address back.
func TestWake(t *testing.T) {
	t.Parallel()
	for _, family := range []struct {
		name string
		ip   netip.Addr
	}{{"ipv4", nas4}, {"ipv6", nas6}} {
		for _, knock := range []struct {
			trigger, service string
			knock            func(*harness, *lab.Host, netip.Addr)
		}{
			{"tcp", ":22/tcp", func(h *harness, client *lab.Host, ip netip.Addr) {
				if got := h.connect(client, ip, 22); got != lab.Banner("nas") {
					h.Errorf("the service said %q", got)
				}
			}},
			{"udp", ":27015/udp", func(h *harness, client *lab.Host, ip netip.Addr) {
				conn, err := client.Dial(h.ctx, "udp", netip.AddrPortFrom(ip, 27015).String())
				h.must(err)
				defer conn.Close()
				_, err = conn.Write([]byte("hello"))
				h.must(err)
			}},
			{"icmp", "/icmp", func(h *harness, client *lab.Host, ip netip.Addr) {
				h.must(client.Ping(h.within(20*time.Second), ip))
			}},
		} {
			t.Run(family.name+"/"+knock.trigger, func(t *testing.T) {
				h := open(t, fastProbe)
				nas := h.addNAS(nil)
				client := h.lan.Client()
				h.putToSleep(nas)
				n := h.daemon.Log.Len()

				knock.knock(h, client, family.ip)

				began := h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
				source, service, _ := cutKnock(began.Field("knock"))
				if from := clientAddr(client, family.ip); source.Addr() != from {
					t.Errorf("the log says %q knocked, want %v", began.Field("knock"), from)
				}
				if want := (&machine.Service{Addr: family.ip, Port: servicePort(knock.trigger)}).String(); service != want {
					t.Errorf("the log says %q was knocked at, want %s", service, want)
				}
				h.waitMove(n, "nas", "waking", "arriving", machine.WhyArrived)
				h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
				if happened(nas, lab.DADFailed) {
					t.Error("duplicate address detection failed")
				}
				h.waitNeighbor(client, family.ip, nas.MAC())

				seen := magicPackets(nas)
				if seen[lab.OverUDP] == 0 || seen[lab.OverEthernet] != 2*seen[lab.OverUDP] {
					t.Errorf("magic packets %v, want a broadcast and a unicast one for each over UDP", seen)
				}
				h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="%s"}`, knock.trigger)
				h.wantMetric(1, `nightporter_machine_knocks_total{machine="nas", service="%s"}`, servicePort(knock.trigger))
				h.wantMetric(float64(seen[lab.OverUDP]), `nightporter_machine_wake_attempts_total{machine="nas"}`)
				h.wantMetric(0, `nightporter_machine_wake_failures_total{machine="nas", trigger="%s"}`, knock.trigger)
				h.wantMetric(0, `nightporter_machine_external_starts_total{machine="nas"}`)
				h.wantMetric(1, `nightporter_machine_boot_duration_seconds_count{machine="nas"}`)
				h.wantMetric(1, `nightporter_machine_state{machine="nas", state="awake"}`)
				h.wantMetric(1, `nightporter_wake_latency_seconds_count`)
				boot := h.metric(`nightporter_machine_boot_duration_seconds_sum{machine="nas"}`)
				if boot < 0.45 || boot > 5 {
					t.Errorf("boot took %v s by the metrics, want 0.45 and a little", boot)
				}
				if slept := h.metric(`nightporter_machine_sleep_seconds_total{machine="nas"}`); slept <= 0 {
					t.Errorf("slept %v s", slept)
				}
				wantLastWake(h, source, service, knock.trigger, boot)
			})
		}
	}
}

// wantLastWake expects the client, the service and the times in the last wake and the events:
// until the first frame as in the metrics, and until the handover.
func wantLastWake(h *harness, source netip.AddrPort, service, trigger string, boot float64) {
	h.Helper()
	_, body, err := h.daemon.Get(h.within(5*time.Second), "/api/v1/machines/nas")
	h.must(err)
	var m web.Machine
	h.must(json.Unmarshal([]byte(body), &m))
	w := m.LastWake
	if w == nil || w.Outcome != machine.Served || w.Source != source || w.Service != service || w.Trigger != trigger || w.Attempts != 1 ||
		math.Abs(w.BootSeconds-boot) > 0.001 || w.ReadySeconds < boot {
		h.Errorf("the last wake is %+v", w)
	}
	_, body, err = h.daemon.Get(h.within(5*time.Second), "/api/v1/events?machine=nas")
	h.must(err)
	var events []journal.Event
	h.must(json.Unmarshal([]byte(body), &events))
	last := events[len(events)-1]
	if last.Kind != journal.Ready || last.Source != source || last.Service != service || math.Abs(last.Boot.Seconds()-boot) > 0.001 || last.Ready < last.Boot {
		h.Errorf("the last event is %+v", last)
	}
}

// TestClientBehindTheRouterWakes: a client wakes a machine with packets that have the router's
// MAC.
func TestClientBehindTheRouterWakes(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	for _, ip := range []netip.Addr{nas4, nas6} {
		if got := h.connect(h.lan.Outside(), ip, 22); got != lab.Banner("nas") {
			t.Errorf("the service said %q", got)
		}
		h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
		h.putToSleep(nas)
	}
}

// TestWarmClientReachesThePorterAtOnce: a client with a neighbor entry of the machine learns
// the porter's MAC from the announcement. Its packets would otherwise be lost for a minute.
func TestWarmClientReachesThePorterAtOnce(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := open(t, fastProbe)
			nas := h.addNAS(nil)
			client, porter := h.lan.Client(), h.lan.Porter()
			h.must(client.WarmNeighbor(h.within(5*time.Second), ip))
			h.waitNeighbor(client, ip, nas.MAC())
			h.putToSleep(nas)
			h.waitNeighbor(client, ip, porter.MAC())

			capture, err := h.lan.CapturePort(h.ctx, client)
			h.must(err)
			defer capture.Close()
			h.connect(client, ip, 22)
			syn, err := capture.Wait(h.within(5*time.Second), func(f lab.Frame) bool { return f.Outgoing && isSYN(f.Data) })
			h.must(err)
			if syn.Dst() != porter.MAC() {
				t.Errorf("the first SYN went to %v, want the porter %v", syn.Dst(), porter.MAC())
			}
			h.waitNeighbor(client, ip, nas.MAC())
		})
	}
}

// TestMachineThatIgnoresMagicPackets: the machine gets the configured number of magic packets,
// counts as failed, and stays claimed.
func TestMachineThatIgnoresMagicPackets(t *testing.T) {
	h := open(t, fastProbe+"wake: {attempts: 3, interval: 200ms, transports: [ethernet]}\n")
	nas := h.addNAS(func(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll })
	client := h.lan.Client()
	h.putToSleep(nas)
	conn := h.startConnecting(client, nas4, 22)
	failed := h.waitMove(0, "nas", "waking", "asleep", machine.WhyAttemptsGone)
	conn.cancel()
	if got := failed.Field("attempts"); got != "3" {
		t.Errorf("gave up after %s attempts, want 3", got)
	}
	if got := magicPackets(nas)[lab.OverEthernet]; got != 6 {
		t.Errorf("%d magic packets, want 3 broadcast and 3 unicast", got)
	}
	h.wantMetric(3, `nightporter_machine_wake_attempts_total{machine="nas"}`)
	h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
	h.wantMetric(1, `nightporter_machine_wake_failures_total{machine="nas", trigger="tcp"}`)
	h.wantMetric(1, `nightporter_machine_state{machine="nas", state="asleep"}`)

	h.must(client.ForgetNeighbor(nas4))
	h.must(client.WarmNeighbor(h.within(5*time.Second), nas4))
	h.waitNeighbor(client, nas4, h.lan.Porter().MAC())
}

// TestFailedWakeWithoutKeep: a failed wake forgets the machine and releases its addresses.
func TestFailedWakeWithoutKeep(t *testing.T) {
	h := open(t, fastProbe+"wake: {attempts: 1, interval: 200ms, keep: false}\n")
	nas := h.addNAS(func(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll })
	h.putToSleep(nas)
	conn := h.startConnecting(h.lan.Client(), nas4, 22)
	defer conn.cancel()
	h.waitMove(0, "nas", "waking", "awake", machine.WhyAttemptsGone)
	h.waitNeighbor(h.lan.Client(), nas4, nas.MAC())
	all, err := h.daemon.Metrics(h.ctx)
	h.must(err)
	if _, there := all[`nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`]; there {
		t.Error("a forgotten machine still has metrics")
	}
}

// TestSecureOn: the magic packet has the password.
func TestSecureOn(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(func(c *lab.MachineConfig) { c.SecureOn = []byte{1, 2, 3, 4, 5, 6} })
	h.register(nas.Host, `{"mac":"`+nas.MAC().String()+`","name":"nas","password":"01:02:03:04:05:06","monitor":[{"ip":"10.77.0.20","port":[22]}]}`)
	h.must(nas.Sleep(h.ctx))
	h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
}

// TestFirmwareIsNotTheMachine: boot firmware that sends DHCP, or one frame with the machine's
// address, does not end the wake.
func TestFirmwareIsNotTheMachine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		boot   time.Duration
		change func(*lab.MachineConfig)
	}{
		{"dhcp", 1450 * time.Millisecond, func(c *lab.MachineConfig) { c.FirmwareDHCP = true }},
		// It is silent for more than 3 s after the firmware's frame.
		{"arp", 4450 * time.Millisecond, func(c *lab.MachineConfig) { c.FirmwareARP = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, fastProbe)
			nas := h.addNAS(func(cfg *lab.MachineConfig) {
				cfg.Boot, cfg.Firmware = c.boot, 150*time.Millisecond
				c.change(cfg)
			})
			h.putToSleep(nas)
			if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
				t.Errorf("the service said %q", got)
			}
			// The porter probes after each frame, and the machine answers only after its boot.
			up, on := h.waitMove(0, "nas", "waking", "arriving", machine.WhyArrived), h.waitEvent(nas, lab.PoweredOn)
			if took := up.Time.Sub(on.Time); took < c.boot {
				t.Errorf("taken for up %v after power-on, which was the firmware", took)
			}
			h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
			if boot := h.metric(`nightporter_machine_boot_duration_seconds_sum{machine="nas"}`); boot < c.boot.Seconds() {
				t.Errorf("the boot took %v s by the metrics: that was the firmware", boot)
			}
			h.wantMetric(1, `nightporter_machine_boot_duration_seconds_count{machine="nas"}`)
			h.wantMetric(0, `nightporter_machine_external_starts_total{machine="nas"}`)
		})
	}
}

// TestWakeThroughTheAPI: the API wakes a machine.
func TestWakeThroughTheAPI(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	status, text, err := h.daemon.Post(h.ctx, "/api/v1/machines/nas/wake")
	h.must(err)
	if status != 202 {
		t.Fatalf("answered %d: %s", status, text)
	}
	h.waitEvent(nas, lab.PoweredOn)
	h.waitMove(0, "nas", "asleep", "waking", machine.WhyRequested)
	h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
	h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="api"}`)
}
