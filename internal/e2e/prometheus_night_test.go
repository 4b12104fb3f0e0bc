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
)

// night is one in which everything happens that dashboards show: machines that
// sleep and are woken in every way, and all that can go wrong, at short notice.
type scenario struct {
	*harness
	w     *prometheusWatch
	hook  string            // URL of a webhook of the porter's own
	nas   *lab.Machine      // to which most of it happens
	tower *lab.Machine      // whose SSH never comes up
	brick *lab.Machine      // heeds no magic packet
	gone  *lab.Machine      // neither, and is forgotten meanwhile
	late  *labdaemon.Daemon // another porter, which is fit for nothing
}

// conf is the porter's configuration, with more about wake.
func (n *scenario) conf(more string) string {
	return "probe: {interval: 100ms, timeout: 1500ms}\n" +
		"wake: {attempts: 4, interval: 800ms, timeout: 2500ms" + more + "}\n" +
		"hold: {ready_timeout: 2500ms}\n" +
		fmt.Sprintf("notify: {urls: [%q]}\n", n.hook) +
		"machines: [{name: box, mac: \"02:00:00:00:00:bb\", ip: 10.77.0.40, ports: [ssh], agentless: true}]\n"
}

// machines adds those of the night. Each has an address of its own.
func (n *scenario) machines() {
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

// known registers all machines, and waits until Prometheus has their series: it
// sees what is counted from now on.
func (n *scenario) known() {
	all := []*lab.Machine{n.nas, n.tower, n.brick, n.gone}
	for _, m := range all {
		n.register(m.Host, n.said(m))
	}
	for _, m := range all {
		n.w.until(`nightporter_machine_info{machine="` + m.Name() + `"}`)
	}
}

// said is how a machine registers.
func (n *scenario) said(m *lab.Machine) string {
	if m == n.nas {
		return nasRegistration(m)
	}
	return registration(m.Name(), m.MAC(), monitored{m.Addr4(), []any{"22/tcp", "27015/udp"}})
}

// falls registers a machine and lets it sleep until it is claimed.
func (n *scenario) falls(m *lab.Machine) {
	n.Helper()
	n.must(sleepRegisteredAs(n.harness, n.within(20*time.Second), m, n.said(m)))
}

// wakes waits until nas is awake after the first count entries of the log, and
// lets it sleep again.
func (n *scenario) wakes(count int, reason machine.Reason) {
	n.Helper()
	n.waitMove(count, "nas", "asleep", "waking", reason)
	n.waitMove(count, "nas", "arriving", "awake", machine.WhyReady)
	n.waitEvent(n.nas, lab.NetworkUp) // both its addresses are its own again
	n.falls(n.nas)
}

// lost: a wake that is in vain is cut short by somebody who has the porter forget
// the machine.
func (n *scenario) lost() {
	n.falls(n.gone)
	n.startConnecting(n.lan.Client(), n.gone.Addr4(), 22)
	n.w.until(`nightporter_machine_state{machine="gone", state="waking"} == 1`)
	status, text, err := n.daemon.Delete(n.within(5*time.Second), "/api/v1/machines/gone")
	n.must(err)
	if status >= 300 {
		n.Fatalf("forgetting answered %d: %s", status, text)
	}
}

// notReady: a machine comes up, and the service that was knocked at does not. And
// there are more datagrams than are held.
func (n *scenario) notReady() {
	n.falls(n.tower)
	count := n.daemon.Log.Len()
	client := n.lan.Client()
	n.startConnecting(client, n.tower.Addr4(), 22)
	game := dialGame(n.harness, client, n.tower.Addr4())
	for i := range 100 {
		sendDatagrams(n.harness, game, fmt.Sprint("move ", i))
	}
	n.waitMove(count, "tower", "arriving", "awake", machine.WhyNotReady)
}

// everyTrigger wakes nas in every way, TCP after knocks that were not to wake it.
func (n *scenario) everyTrigger() {
	n.waitMove(0, "nas", "settling", "awake", machine.WhyNeverSilent)
	n.reload(n.conf(`, quiet_hours: "00:00-24:00"`), "configuration reloaded")
	n.falls(n.nas)
	count := n.daemon.Log.Len()
	waits := knockSuppressed(n.harness, n.nas)
	n.reload(n.conf(""), "configuration reloaded")
	n.must(<-waits.done)
	n.wakes(count, machine.WhyKnock)

	count = n.daemon.Log.Len()
	n.wantNeighbor(n.lan.Client(), nas6, n.lan.Porter().MAC()) // nobody repeats a datagram
	sendDatagrams(n.harness, dialGame(n.harness, n.lan.Client(), nas6), "hello")
	n.wakes(count, machine.WhyKnock)

	count = n.daemon.Log.Len()
	n.must(n.lan.Client().Ping(n.within(20*time.Second), nas4))
	n.wakes(count, machine.WhyKnock)

	count = n.daemon.Log.Len()
	status, text, err := n.daemon.Post(n.within(5*time.Second), "/api/v1/machines/nas/wake")
	n.must(err)
	if status != 202 {
		n.Fatalf("a wake that is asked for is answered %d: %s", status, text)
	}
	n.wakes(count, machine.WhyRequested)
}

// misfortunes of nas: a wake fails, somebody else has its address, and it is
// started by hand.
func (n *scenario) misfortunes() {
	count := n.daemon.Log.Len()
	n.nas.IgnoreMagic(lab.IgnoreAll)
	conn := n.startConnecting(n.lan.Client(), nas4, 22)
	n.waitMove(count, "nas", "waking", "asleep", machine.WhyAttemptsGone)
	conn.cancel()

	vandal := n.vandal()
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

// vandal returns a host that behaves badly.
func (n *scenario) vandal() *lab.Host {
	if host := n.lan.Host("vandal"); host != nil {
		return host
	}
	host, err := n.lan.AddHost("vandal", netip.MustParsePrefix("10.77.0.66/24"), netip.MustParsePrefix("fd77::66/64"))
	n.must(err)
	return host
}

// nuisances are what the porter itself is troubled with: registrations that it
// turns down, frames that are none, and more of them than it can read.
func (n *scenario) nuisances() {
	vandal := n.vandal()
	for range 3 {
		n.wantRefused(vandal, nasRegistration(n.nas), "mac")
	}
	n.wantRefused(vandal, "garbage", "JSON")
	arp := make([]byte, 60) // of hardware type 0
	copy(arp, ether.Broadcast[:])
	mac := vandal.MAC()
	copy(arp[6:], mac[:])
	copy(arp[12:], []byte{8, 6})
	n.must(vandal.SendFrame(arp))

	n.must(n.daemon.Signal(syscall.SIGSTOP))
	flood, err := vandal.Flood(0, floodKinds[1].deal(n.harness, rand.New(rand.NewPCG(1, 1))))
	n.must(err)
	n.must(waitSent(n.harness, flood, 60000)) // several times what the queue holds
	n.must(flood.Stop())
	n.must(n.daemon.Signal(syscall.SIGCONT))
}

// unfit starts the other porter. Its host forwards, and it may not have a guard
// there; its disk is full, one of its interfaces is switched off, and its configuration
// has an error.
func (n *scenario) unfit() {
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

// yesterday is what Prometheus remembers of nas: it slept nine hours of ten and
// booted in 5 s for days, until it took two minutes twice within the last day.
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
