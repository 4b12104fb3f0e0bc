package e2e

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/hosttest"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/promtest"
)

// scenario makes all events that dashboards show: machines that sleep and are woken in each
// way, and all failures, with short timeouts.
type scenario struct {
	*harness
	prometheus *prometheusWatch
	hook       string            // URL of the porter's webhook
	nas        *lab.Machine      // has most of the events
	tower      *lab.Machine      // its SSH never listens
	brick      *lab.Machine      // ignores magic packets
	gone       *lab.Machine      // ignores magic packets, and is forgotten
	late       *labdaemon.Daemon // another porter, with all problems
}

// conf returns the porter's configuration, with more keys of wake.
func (n *scenario) conf(more string) string {
	return "probe: {interval: 100ms, timeout: 1500ms}\n" +
		"wake: {attempts: 4, interval: 800ms, timeout: 2500ms" + more + "}\n" +
		"hold: {ready_timeout: 2500ms}\n" +
		fmt.Sprintf("notify: {urls: [%q]}\n", n.hook) +
		"machines: [{name: box, mac: \"02:00:00:00:00:bb\", ip: 10.77.0.40, ports: [ssh], agentless: true}]\n"
}

// addMachines adds the machines. Each has an address of its own.
func (n *scenario) addMachines() {
	n.nas = n.harness.addNAS(func(c *lab.MachineConfig) { c.Announce, c.Boot = true, 150*time.Millisecond })
	for i, m := range []**lab.Machine{&n.tower, &n.brick, &n.gone} {
		cfg := lab.MachineConfig{
			Name: []string{"tower", "brick", "gone"}[i], Boot: 150 * time.Millisecond, Announce: true, IgnoreMagic: lab.IgnoreAll,
			Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(31 + i)}), 24)},
		}
		if m == &n.tower {
			cfg.IgnoreMagic, cfg.Services = 0, []lab.ServiceConfig{{Network: "udp", Port: 27015}}
		}
		var err error
		*m, err = n.lan.AddMachine(cfg)
		n.must(err)
	}
}

// registerAll registers all machines, and waits until Prometheus has their series, so that it sees
// each later change.
func (n *scenario) registerAll() {
	all := []*lab.Machine{n.nas, n.tower, n.brick, n.gone}
	for _, m := range all {
		n.register(m.Host, n.registrationOf(m))
	}
	for _, m := range all {
		n.prometheus.waitQuery(`nightporter_machine_info{machine="` + m.Name() + `"}`)
	}
}

// registrationOf returns the registration of a machine.
func (n *scenario) registrationOf(m *lab.Machine) string {
	if m == n.nas {
		return nasRegistration(m)
	}
	return registration(m.Name(), m.MAC(), monitored{m.Addr4(), []any{"22/tcp", "27015/udp"}})
}

// sleepUntilClaimed registers a machine and lets it sleep until it is claimed.
func (n *scenario) sleepUntilClaimed(m *lab.Machine) {
	n.Helper()
	n.must(sleepRegisteredAs(n.within(20*time.Second), n.harness, m, n.registrationOf(m)))
}

// wantWoken waits until nas is awake after the first count entries of the log, and lets it sleep
// again.
func (n *scenario) wantWoken(count int, reason machine.Reason) {
	n.Helper()
	n.waitMove(count, "nas", "asleep", "waking", reason)
	n.waitMove(count, "nas", "arriving", "awake", machine.WhyReady)
	n.waitEvent(n.nas, lab.NetworkUp) // both its addresses are released
	n.sleepUntilClaimed(n.nas)
}

// forgetDuringWake forgets a machine during its wake, by the API.
func (n *scenario) forgetDuringWake() {
	n.sleepUntilClaimed(n.gone)
	n.startConnecting(n.lan.Client(), n.gone.Addr4(), 22)
	n.prometheus.waitQuery(`nightporter_machine_state{machine="gone", state="waking"} == 1`)
	status, text, err := n.daemon.Delete(n.within(5*time.Second), "/api/v1/machines/gone")
	n.must(err)
	if status >= 300 {
		n.Fatalf("forgetting answered %d: %s", status, text)
	}
}

// wakeUnready wakes a machine whose service does not listen, with more datagrams than are held.
func (n *scenario) wakeUnready() {
	n.sleepUntilClaimed(n.tower)
	count := n.daemon.Log.Len()
	client := n.lan.Client()
	n.startConnecting(client, n.tower.Addr4(), 22)
	game := dialGame(n.harness, client, n.tower.Addr4())
	for i := range 100 {
		sendDatagrams(n.harness, game, fmt.Sprint("move ", i))
	}
	n.waitMove(count, "tower", "arriving", "awake", machine.WhyNotReady)
}

// wakeByEachTrigger wakes nas by each trigger; by TCP after knocks that may not wake.
func (n *scenario) wakeByEachTrigger() {
	n.waitMove(0, "nas", "settling", "awake", machine.WhyNeverSilent)
	n.reload(n.conf(`, quiet_hours: "00:00-24:00"`), "configuration reloaded")
	n.sleepUntilClaimed(n.nas)
	count := n.daemon.Log.Len()
	waits := knockSuppressed(n.harness, n.nas)
	n.reload(n.conf(""), "configuration reloaded")
	n.must(<-waits.done)
	n.wantWoken(count, machine.WhyKnock)

	count = n.daemon.Log.Len()
	n.wantNeighbor(n.lan.Client(), nas6, n.lan.Porter().MAC()) // a lost datagram is not repeated
	sendDatagrams(n.harness, dialGame(n.harness, n.lan.Client(), nas6), "hello")
	n.wantWoken(count, machine.WhyKnock)

	count = n.daemon.Log.Len()
	n.must(n.lan.Client().Ping(n.within(20*time.Second), nas4))
	n.wantWoken(count, machine.WhyKnock)

	count = n.daemon.Log.Len()
	status, text, err := n.daemon.Post(n.within(5*time.Second), "/api/v1/machines/nas/wake")
	n.must(err)
	if status != 202 {
		n.Fatalf("a wake that is asked for is answered %d: %s", status, text)
	}
	n.wantWoken(count, machine.WhyRequested)
}

// failAndConflict lets a wake of nas fail, lets another host use its address, and starts it without
// the porter.
func (n *scenario) failAndConflict() {
	count := n.daemon.Log.Len()
	n.nas.IgnoreMagic(lab.IgnoreAll)
	conn := n.startConnecting(n.lan.Client(), nas4, 22)
	n.waitMove(count, "nas", "waking", "asleep", machine.WhyAttemptsGone)
	conn.cancel()

	vandal := n.hostileHost()
	own := netip.PrefixFrom(nas4, 24)
	n.must(vandal.AddAddr(n.ctx, own))
	frames, err := lan.Announcement(vandal.MAC(), ether.Broadcast, vandal.MAC(), nas4, netip.Addr{}, netip.Addr{})
	n.must(err)
	n.must(vandal.SendFrame(frames[0]))
	_, err = n.daemon.Log.Wait(n.within(10*time.Second), count, isConflict(nas4, vandal.MAC()))
	n.must(err)
	n.must(vandal.DelAddr(own))

	n.must(n.nas.PowerOn())
	n.waitMove(count, "nas", "settling", "awake", machine.WhyStarted)
}

// hostileHost returns a hostile host.
func (n *scenario) hostileHost() *lab.Host {
	if host := n.lan.Host("vandal"); host != nil {
		return host
	}
	host, err := n.lan.AddHost("vandal", netip.MustParsePrefix("10.77.0.66/24"), netip.MustParsePrefix("fd77::66/64"))
	n.must(err)
	return host
}

// sendInvalid sends registrations that are refused, invalid frames, and too many frames.
func (n *scenario) sendInvalid() {
	vandal := n.hostileHost()
	for range 3 {
		n.wantRefused(vandal, nasRegistration(n.nas), "mac")
	}
	n.wantRefused(vandal, "garbage", "JSON")
	arp := make([]byte, 60) // an ARP packet of hardware type 0
	copy(arp, ether.Broadcast[:])
	mac := vandal.MAC()
	copy(arp[6:], mac[:])
	copy(arp[12:], []byte{8, 6})
	n.must(vandal.SendFrame(arp))

	n.overrun()
}

// overrun sends more frames than the porter can read, until Prometheus shows drops. No rate spans
// a stop that is longer than its range, which happens on a busy host.
func (n *scenario) overrun() {
	for range 5 {
		n.must(n.daemon.Signal(syscall.SIGSTOP))
		flood, err := n.hostileHost().Flood(0, floodKinds[1].deal(n.harness, rand.New(rand.NewPCG(1, 1))))
		n.must(err)
		n.must(waitSent(n.harness, flood, 20000)) // nearly twice the size of the queue
		n.must(flood.Stop())
		n.must(n.daemon.Signal(syscall.SIGCONT))
		if n.prometheus.hasResult(4*time.Second, fmt.Sprintf("max_over_time(sum(rate(nightporter_capture_drops_total[%v]))[10s:]) > 0", 4*promtest.Interval)) {
			return
		}
	}
	n.Fatal("Prometheus shows no drops after 5 stops of the porter")
}

// startUnfitPorter starts the other porter. Its host forwards and permits no guard, its disk is full, one
// of its interfaces is off, and its configuration has an error.
func (n *scenario) startUnfitPorter() {
	const second = "eth10"
	host, err := n.lan.AddHost("porter2", netip.MustParsePrefix("10.77.0.3/24"), netip.MustParsePrefix("fd77::3/64"))
	n.must(err)
	_, err = n.lan.AddLeg(host, 10, netip.MustParsePrefix("10.80.0.3/24"))
	n.must(err)
	forward(n.TB, host)
	disk := hosttest.New(n.TB, "128k")
	dir := disk.Dir + "/porter"
	n.must(os.Mkdir(dir, 0o700))
	n.late, err = labdaemon.Start(n.ctx, n.lan, dir, labdaemon.Options{
		Exe: os.Args[0], Env: append([]string{withoutNetAdmin + "=1"}, programEnv...), Host: host,
		Config: fastProbe + "interfaces: [eth0, " + second + "]\n",
	})
	n.must(err)
	n.killAtEnd(n.late)
	late := &harness{TB: n.TB, ctx: n.ctx, lan: n.lan, daemon: n.late}
	late.reload("wake: {attempts: none}\n", "configuration not reloaded, keeping the old one")
	disk.Fill()
	registerUntilRefused(late, addRegisteringMachine(n.harness, 1))
	wantJournalHealth(late, false)
	n.must(host.SetLink(second, false))
	late.waitInterfaceEvent(0, isOut, second)
}

// prometheusHistory is what Prometheus has stored about nas: it slept nine hours of ten and
// booted in 5 s for days, until two boots of two minutes within the last day.
func prometheusHistory(instance string) string {
	var b strings.Builder
	now := time.Now()
	series := func(name string, from, to time.Duration, value func(ago time.Duration) float64) {
		fmt.Fprintf(&b, "# TYPE %s unknown\n", name)
		for ago := from; ago > to; ago -= 10 * time.Minute {
			fmt.Fprintf(&b, "%s{job=\"nightporter\",instance=%q,machine=\"nas\"} %v %d\n", name, instance, value(ago), now.Add(-ago).Unix())
		}
	}
	const day, boot = 24 * time.Hour, "nightporter_machine_boot_duration_seconds"
	always := func(v float64) func(time.Duration) float64 { return func(time.Duration) float64 { return v } }
	series("machine:"+boot+":mean1d", 5*day, day, always(5))
	series("machine:nightporter_machine_sleep_seconds:rate1d", 5*day, day, always(0.9))
	slow := func(each float64) func(time.Duration) float64 {
		return func(ago time.Duration) float64 { return each * max(0, 2-math.Floor(ago.Hours()/6)) }
	}
	series(boot+"_sum", 20*time.Hour, 2*time.Hour, slow(120))
	series(boot+"_count", 20*time.Hour, 2*time.Hour, slow(1))
	b.WriteString("# EOF\n")
	return b.String()
}
