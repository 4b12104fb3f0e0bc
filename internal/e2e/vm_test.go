package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/lab/labtest"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
	"nightporter/internal/vm"
	"nightporter/internal/vm/vmtest"
)

const (
	// vmBoot is the longest boot of an emulated machine on a busy host.
	vmBoot = 5 * time.Minute
	// vmCommand limits a command in an emulated machine, such as apt-get.
	vmCommand = 12 * time.Minute
	// vmClaim is the longest time from a machine's power-off to its claim, without a
	// registration.
	vmClaim = 30 * time.Second
)

// networkManager is a network manager of Debian, with the file that configures the machine of
// these tests.
type networkManager struct {
	name  string
	units []string
	file  string
	mode  string
	text  string

	// silent: the manager takes down a card that is not armed for Wake-on-LAN before the units
	// of sleep.target run, so the porter learns of no suspend.
	silent bool
}

var networkManagers = []networkManager{
	{
		"systemd-networkd", []string{"systemd-networkd.service", "systemd-networkd-wait-online.service"},
		"/etc/systemd/network/10-lan.network", "644",
		"[Match]\nName=eth0\n[Network]\nAddress=10.77.0.20/24\nAddress=fd77::20/64\nGateway=10.77.0.1\nIPv6AcceptRA=no\n",
		false,
	},
	{
		"NetworkManager", []string{"NetworkManager.service", "NetworkManager-wait-online.service"},
		"/etc/NetworkManager/system-connections/lan.nmconnection", "600",
		"[connection]\nid=lan\ntype=ethernet\ninterface-name=eth0\n" +
			"[ipv4]\nmethod=manual\naddress1=10.77.0.20/24,10.77.0.1\n" +
			"[ipv6]\nmethod=manual\naddress1=fd77::20/64\naddr-gen-mode=eui64\n",
		true,
	},
}

// debianVM is a harness with a virtual machine.
type debianVM struct {
	*harness
	pc *vm.Machine
}

// TestVMMachine: Debian with the files of deploy/machine sleeps in each of its ways and is
// claimed, and the first connect() to its SSH server succeeds.
func TestVMMachine(t *testing.T) {
	vmtest.Need(t, vm.AMD64)
	t.Parallel()
	for _, with := range networkManagers {
		t.Run(with.name, func(t *testing.T) {
			t.Parallel()
			d := openDebian(t, with)
			d.suspend(nas4, !with.silent)
			d.suspend(nas6, !with.silent)
			d.powerOff()
			d.reboot()
			d.cutPower()
		})
	}
}

// openDebian boots a machine, and installs the machine's side of nightporter by
// deploy/machine/README.md.
func openDebian(t *testing.T, with networkManager) debianVM {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	t.Cleanup(cancel)
	lan := labtest.New(t)
	h := openOn(ctx, t, lan, "")
	d := debianVM{h, vmtest.New(t, lan, "pc", netip.PrefixFrom(nas4, 24), netip.PrefixFrom(nas6, 64))}
	h.must(d.pc.PowerOn())
	on := d.waitVMEvent(0, vm.PoweredOn, time.Second)
	d.report("boot to a shell", on.Time, d.waitVMEvent(0, vm.CommandsUp, vmBoot).Time)

	h.must(d.pc.WriteFile(ctx, with.file, with.mode, with.text))
	d.run(append([]string{"systemctl", "enable", "--now"}, with.units...)...)
	d.install("nightporter-register.py", "755", "/usr/local/lib/nightporter/")
	for _, unit := range []string{"nightporter-register.service", "nightporter-register-sleep.service"} {
		d.install(unit, "644", "/etc/systemd/system/")
	}
	h.must(d.pc.WriteFile(ctx, "/etc/nightporter/register.conf", "600", "[register]\nto = 10.77.0.2\nname = pc\nport = 22/tcp\n"))
	d.run("systemctl", "daemon-reload")
	n := h.daemon.Log.Len()
	d.run("systemctl", "enable", "--now", "nightporter-register.service")
	d.run("systemctl", "enable", "nightporter-register-sleep.service")
	d.waitRegistered(n)
	d.wantSleepRegistered(n, false)
	return d
}

// suspend suspends the machine, and connects to it. It is claimed with or without a
// registration before.
func (d debianVM) suspend(ip netip.Addr, tells bool) {
	d.Helper()
	events := d.pc.Len()
	d.sleepByCommand("suspend", vm.Suspended, tells)
	c := d.wantServedByKnock(ip)
	d.report("resume to served", d.waitVMEvent(events, vm.Resumed, time.Second).Time, c.ended)
}

// powerOff powers the machine off, and connects to it.
func (d debianVM) powerOff() {
	d.Helper()
	events := d.pc.Len()
	d.sleepByCommand("poweroff", vm.PoweredOff, true)
	n := d.daemon.Log.Len()
	d.wantServedByKnock(nas4)
	d.waitVMEvent(events, vm.PoweredOn, time.Second)
	d.waitVMEvent(events, vm.CommandsUp, vmBoot)
	d.waitRegistered(n)
	d.wantAddresses()
}

// sleepByCommand puts the machine to sleep by a command of systemctl, and waits until it is claimed.
func (d debianVM) sleepByCommand(command string, off vm.EventKind, tells bool) {
	d.Helper()
	n, events := d.daemon.Log.Len(), d.pc.Len()
	asked := time.Now()
	d.launch("systemctl", command)
	d.report(command, asked, d.waitVMEvent(events, off, time.Minute).Time)
	d.wantSleepRegistered(n, tells)
	d.report(command+" to claimed", asked, d.waitClaimed(n))
}

// reboot reboots the machine, and expects that it has both of its addresses.
func (d debianVM) reboot() {
	d.Helper()
	events := d.pc.Len()
	asked := time.Now()
	n := d.daemon.Log.Len()
	d.launch("systemctl", "reboot")
	d.waitVMEvent(events, vm.Restarted, time.Minute)
	d.wantSleepRegistered(n, false)
	n = d.daemon.Log.Len()
	d.waitVMEvent(d.pc.Len(), vm.CommandsUp, vmBoot)
	d.waitRegistered(n)
	d.wantSleepRegistered(n, false)
	d.report("reboot to registered", asked, time.Now())
	for _, ip := range []netip.Addr{nas4, nas6} {
		began := time.Now()
		d.connect(d.lan.Client(), ip, 22)
		d.report("connect after the reboot", began, time.Now())
		d.wantNeighbor(d.lan.Router(), ip, d.pc.MAC())
	}
	d.wantAddresses()
}

// cutPower cuts the machine's power. The porter watches the machine, and claims it without a
// registration.
func (d debianVM) cutPower() {
	d.Helper()
	n := d.daemon.Log.Len()
	cut := time.Now()
	d.must(d.pc.PowerCut(d.ctx))
	d.report("power cut to claimed", cut, d.waitClaimed(n))
	events := d.pc.Len()
	d.wantServedByKnock(nas6)
	d.waitVMEvent(events, vm.CommandsUp, vmBoot)
	d.wantAddresses()
}

// wantAddresses expects that the machine's system gave up no address in duplicate address
// detection (RFC 4862 section 5.4).
func (d debianVM) wantAddresses() {
	d.Helper()
	got := d.run("ip", "-oneline", "address", "show", "dev", "eth0", "scope", "global")
	if !contains(got, nas4.String(), nas6.String()) || contains(got, "dadfailed") {
		d.Errorf("after the boot the machine has the addresses\n%s", got)
	}
}

// wantServedByKnock connects with one connect(), and expects that the porter wakes the machine and that it
// serves the client.
func (d debianVM) wantServedByKnock(ip netip.Addr) *call {
	d.Helper()
	client := d.lan.Client()
	atClient, atMachine := d.capturePort(client), d.capturePort(d.pc.Host)
	n := d.daemon.Log.Len()
	c, err := callOnce(d.within(vmBoot), client, netip.AddrPortFrom(ip, 22))
	d.must(err)
	d.Cleanup(func() { c.conn.Close() })
	if !strings.HasPrefix(c.banner, "SSH-2.0-") {
		d.Errorf("the machine said %q", c.banner)
	}
	d.report(fmt.Sprintf("knock at %s to served", ip), c.began, c.ended)
	s, err := readServed(d.ctx, d.harness, c, atClient, atMachine)
	d.must(err)
	if by := s.answered.Src(); by != d.lan.Porter().MAC() {
		d.Errorf("the machine answered a SYN from %v, want the porter's %v", by, d.lan.Porter().MAC())
	}
	d.waitMove(n, "pc", "arriving", "awake", machine.WhyReady)
	return c
}

// waitClaimed waits until the machine is claimed, and returns when it was.
func (d debianVM) waitClaimed(n int) time.Time {
	d.Helper()
	e, err := d.daemon.Log.Wait(d.within(vmClaim), n, labdaemon.Moved("pc", "settling", "asleep", string(machine.WhySilent)))
	d.must(err)
	return e.Time
}

// wantSleepRegistered expects that the machine registered its sleep with the porter, or that it did not.
// Acknowledged registrations are in the log.
func (d debianVM) wantSleepRegistered(n int, sleeps bool) {
	d.Helper()
	settles := labdaemon.Moved("pc", "", "settling", string(machine.WhyRegistered))
	if got := slices.ContainsFunc(d.daemon.Log.Entries(n), settles); got != sleeps {
		d.Errorf("the machine has registered its sleep: %v, want %v", got, sleeps)
	}
}

// waitRegistered waits until the machine has registered with both of its addresses.
func (d debianVM) waitRegistered(n int) {
	d.Helper()
	_, err := d.daemon.Log.Wait(d.within(time.Minute), n, labdaemon.Is("registration_accepted"))
	d.must(err)
	e, err := d.daemon.Log.Wait(d.within(time.Second), n, labdaemon.Is("registered"))
	d.must(err)
	if monitor := e.Field("monitor"); !contains(monitor, nas4.String(), nas6.String()) {
		d.Errorf("the machine registered %q only", monitor)
	}
}

// waitVMEvent waits for an event of the machine.
func (d debianVM) waitVMEvent(n int, kind vm.EventKind, limit time.Duration) vm.Event {
	d.Helper()
	e, err := d.pc.Wait(d.within(limit), n, kind)
	d.must(err)
	return e
}

// install installs a file of deploy/machine in a folder of the machine.
func (d debianVM) install(name, mode, folder string) {
	d.Helper()
	b, err := os.ReadFile(filepath.Join("../..", "deploy/machine", name))
	d.must(err)
	d.must(d.pc.WriteFile(d.within(time.Minute), folder+name, mode, string(b)))
}

func (d debianVM) run(command ...string) string {
	d.Helper()
	out, err := d.pc.Run(d.within(time.Minute), "", command[0], command[1:]...)
	d.must(err)
	return out
}

func (d debianVM) launch(command ...string) {
	d.Helper()
	d.must(d.pc.Launch(d.within(time.Minute), command[0], command[1:]...))
}

// report logs how long something took.
func (d debianVM) report(what string, from, to time.Time) {
	d.Helper()
	reportTime(d.TB, what, from, to)
}

func reportTime(t testing.TB, what string, from, to time.Time) {
	t.Helper()
	t.Logf("%-30s %8.3f s", what, to.Sub(from).Seconds())
}
