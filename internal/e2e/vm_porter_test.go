package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/guide"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/machine"
	"nightporter/internal/vm"
	"nightporter/internal/vm/vmtest"
)

// The LAN of the guide docs/raspberry-pi.md: the porter, its machine, and a machine that
// registers.
var (
	piAddr    = netip.MustParseAddr("192.168.1.2")
	guideNAS  = netip.MustParseAddr("192.168.1.20")
	guideMAC  = ether.MAC{0x3c, 0xec, 0xef, 0x12, 0x34, 0x56}
	towerAddr = netip.MustParseAddr("192.168.1.21")
)

// Two versions of the package; the second upgrades the first.
const (
	olderVersion = "0.1.0"
	newerVersion = "0.2.0"
)

// vmBringUp is the time of the machines from power-on to their service: longer than an emulated
// porter needs, and between two SYNs of their clients.
const vmBringUp = 4500 * time.Millisecond

// porterVM is a LAN whose porter is a Debian with the package installed. The harness has no
// daemon here.
type porterVM struct {
	*harness
	pi         *vm.Machine
	client     *lab.Host
	nas, tower *lab.Machine
	web        http.Client // the client's
}

// TestVMPorter: apt-get installs the package on a PC and on an ARM board. Its porter claims
// machines that sleep, wakes them and hands over the first connection, also after an upgrade
// and after a power cut.
func TestVMPorter(t *testing.T) {
	t.Parallel()
	// The ARM board takes longest, so it does not wait until other tests are done, as a parallel
	// subtest would.
	for _, arch := range []vm.Arch{vm.ARM64, vm.AMD64} {
		t.Run(string(arch), func(t *testing.T) {
			vmtest.Need(t, arch)
			p := openPorterVM(t, arch)
			if arch == vm.ARM64 {
				p.followGuide()
			} else {
				p.install()
			}
			p.wantServed()
			p.upgrade()
			p.cutPower()
			p.purge()
		})
	}
}

// openPorterVM boots the porter's host, and adds a client and two machines.
func openPorterVM(t *testing.T, arch vm.Arch) *porterVM {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
	t.Cleanup(cancel)
	h := &harness{TB: t, ctx: ctx, lan: labtest.New(t)}
	files := t.TempDir()
	for _, version := range []string{olderVersion, newerVersion} {
		buildPackage(h, arch, version, files)
	}
	p := &porterVM{harness: h}
	p.pi = vmtest.NewWith(t, h.lan, arch, files, "pi", netip.PrefixFrom(piAddr, 24))
	var err error
	p.client, err = h.lan.AddHost("laptop", netip.MustParsePrefix("192.168.1.10/24"))
	h.must(err)
	p.nas = p.addMachine("nas", guideNAS, guideMAC)
	p.tower = p.addMachine("tower", towerAddr, ether.MAC{})
	p.web.Transport = &http.Transport{DisableKeepAlives: true, DialContext: p.client.Dial}

	h.Cleanup(func() {
		if h.Failed() && p.pi.State() == vm.On {
			journal, err := p.pi.Run(context.Background(), "", "journalctl", "--no-pager", "--output=short-precise", "--unit=nightporter.service", "--unit=prometheus.service", "--lines=60")
			h.Logf("the journal of the services: %v\n%s", err, journal)
		}
	})
	on := time.Now()
	h.must(p.pi.PowerOn())
	p.waitBoot(0, on)
	h.must(p.pi.WriteFile(ctx, "/etc/systemd/network/10-lan.network", "644",
		"[Match]\nName=eth0\n[Network]\nAddress=192.168.1.2/24\nGateway=192.168.1.1\nLinkLocalAddressing=ipv6\nIPv6AcceptRA=no\n"))
	p.run("systemctl", "enable", "--now", "systemd-networkd.service")
	p.run("sh", "-ec", "mkdir -p /mnt/files; mount -o ro LABEL=files /mnt/files")
	return p
}

// buildPackage builds the .deb of a version into a directory.
func buildPackage(h *harness, arch vm.Arch, version, dir string) {
	h.Helper()
	cmd := exec.CommandContext(h.ctx, "go", "run", ".", "-version", version, "-only", string(arch)+".deb", "-out", dir)
	cmd.Dir = filepath.Join("../..", "deploy/packages")
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1764374400")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.Fatalf("build the package: %v\n%s", err, out)
	}
}

// addMachine adds a machine that sleeps as a PC does that is switched off.
func (p *porterVM) addMachine(name string, ip netip.Addr, mac ether.MAC) *lab.Machine {
	p.Helper()
	m, err := p.lan.AddMachine(lab.MachineConfig{
		Name: name, MAC: mac, Addrs: []netip.Prefix{netip.PrefixFrom(ip, 24)}, Boot: vmBringUp,
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22}},
	})
	p.must(err)
	return m
}

// waitBoot waits for the end of a boot.
func (p *porterVM) waitBoot(n int, on time.Time) {
	p.Helper()
	up, err := p.pi.Wait(p.within(vmBoot), n, vm.CommandsUp)
	p.must(err)
	p.report("boot to a shell", on, up.Time)
}

// run runs a command on the porter's host, as root.
func (p *porterVM) run(command ...string) string {
	p.Helper()
	out, err := p.pi.Run(p.within(vmCommand), "", command[0], command[1:]...)
	p.must(err)
	return out
}

// install installs the package, and configures the agentless machine.
func (p *porterVM) install() {
	p.Helper()
	began := time.Now()
	p.run("sh", "-ec", "apt-get install --yes /mnt/files/nightporter_"+olderVersion+"-1_*.deb")
	p.report("apt-get install", began, time.Now())
	p.must(p.pi.WriteFile(p.ctx, "/etc/nightporter/config.yaml", "644", fmt.Sprintf(
		"machines:\n  - {name: nas, mac: %q, ip: %v, ports: [22/tcp], agentless: true}\n", guideMAC.String(), guideNAS)))
	p.run("systemctl", "reload", "nightporter.service")
}

// followGuide lets an ordinary user of the host follow docs/raspberry-pi.md, command by
// command.
func (p *porterVM) followGuide() {
	p.Helper()
	scripts, err := guide.Scripts(filepath.Join("../..", "docs/raspberry-pi.md"), guide.Porter)
	p.must(err)
	p.run("sh", "-ec", `useradd --create-home --shell /bin/bash pi
echo 'pi ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/pi
cp /mnt/files/nightporter_`+olderVersion+`-1_*.deb /home/pi/`)
	for _, s := range scripts {
		began := time.Now()
		out := p.run("runuser", "--login", "pi", "--command", "set -e\n"+s.Text)
		p.report(fmt.Sprintf("line %d of the guide", s.Line), began, time.Now())
		p.Logf("%s%s", s.Text, out)
	}
	p.waitScraped()
}

// waitScraped waits until the Prometheus of the guide has the porter's metrics, and the rules.
func (p *porterVM) waitScraped() {
	p.Helper()
	for path, want := range map[string]string{
		"/api/v1/query?query=nightporter_build_info": `"version":"` + olderVersion + `"`,
		"/api/v1/rules": "NightporterWakeFailed",
	} {
		p.waitPage(2*time.Minute, 9090, path, want)
	}
}

// wantServed checks the first connection to each machine.
func (p *porterVM) wantServed() {
	p.Helper()
	p.waitReady(olderVersion)
	answer, err := p.daemon.RegisterIn(p.within(time.Minute), p.tower.Host, piAddr,
		[]string{registration("tower", p.tower.MAC(), monitored{towerAddr, []any{"22/tcp"}})}, 0)
	p.must(err)
	if answer != "OK." {
		p.Fatalf("the registration is answered %q", answer)
	}
	p.sleepMachine(p.tower)
	p.wakeMachine(p.tower)
	p.sleepMachine(p.nas)
	p.wakeMachine(p.nas)
}

// upgrade upgrades the package while both machines sleep. A client that connects 2 s after the
// restart is served.
func (p *porterVM) upgrade() {
	p.Helper()
	p.sleepMachine(p.nas)
	p.sleepMachine(p.tower)
	before := p.knownMachines()
	began := time.Now()
	p.run("sh", "-ec", "apt-get install --yes /mnt/files/nightporter_"+newerVersion+"-1_*.deb")
	p.report("apt-get upgrade", began, time.Now())
	p.waitReady(newerVersion)
	pauseOrFail(p.harness, 2*time.Second)
	p.wakeMachine(p.nas)
	p.wakeMachine(p.tower)
	p.wantNothingForgotten(before)
}

// cutPower cuts the porter's power while both machines sleep. Its network is 10 s late after
// the boot.
func (p *porterVM) cutPower() {
	p.Helper()
	p.must(p.pi.WriteFile(p.ctx, "/etc/systemd/system/systemd-networkd.service.d/late.conf", "644",
		"[Service]\nExecStartPre=/bin/sleep 10\n"))
	p.run("sync")
	p.sleepMachine(p.nas)
	p.sleepMachine(p.tower)
	before := p.knownMachines()
	p.must(p.pi.PowerCut(p.within(time.Minute)))
	n, on := p.pi.Len(), time.Now()
	p.must(p.pi.PowerOn())
	p.waitBoot(n, on)
	for _, m := range []*lab.Machine{p.nas, p.tower} {
		waitWhoHas(p.harness, vmBoot, p.client, m.Addr4(), p.pi.MAC())
		p.report("power on to "+m.Name()+" claimed", on, time.Now())
	}
	p.wakeMachine(p.nas)
	p.wakeMachine(p.tower)
	p.wantNothingForgotten(before)
}

// purge purges the package, and expects that it leaves nothing on the host and on the LAN.
func (p *porterVM) purge() {
	p.Helper()
	p.sleepMachine(p.nas)
	p.run("apt-get", "purge", "--yes", "nightporter")
	if left := p.run("find", "/etc", "/usr", "/var", "/run", "/lib", "-xdev", "-name", "*nightporter*", "-not", "-path", "/var/log/*"); left != "" {
		p.Errorf("the purge leaves\n%s", left)
	}
	if mac := whoHas(p.harness, p.client, guideNAS); mac != (ether.MAC{}) {
		p.Errorf("after the purge %v answers for a machine that is off", mac)
	}
}

// sleepMachine puts a machine to sleep, and waits until the porter answers for it and counts it as
// asleep. A machine that goes off soon after it was up is claimed before it counts as asleep.
func (p *porterVM) sleepMachine(m *lab.Machine) {
	p.Helper()
	off := time.Now()
	p.must(m.Sleep(p.ctx))
	waitWhoHas(p.harness, vmClaim, p.client, m.Addr4(), p.pi.MAC())
	p.report(m.Name()+": off to claimed", off, time.Now())
	p.waitMachineState(m.Name(), machine.Asleep)
}

// wakeMachine wakes a machine by a connection, and expects that the porter's replay serves it.
func (p *porterVM) wakeMachine(m *lab.Machine) {
	p.Helper()
	atClient, atMachine := p.capturePort(p.client), p.capturePort(m.Host)
	c := p.call(p.client, m, m.Addr4(), 22)
	p.report(m.Name()+": knock to served", c.began, c.ended)
	p.report(m.Name()+": service to served", lastUp(m, c.to), c.ended)
	s, err := readServed(p.ctx, p.harness, c, atClient, atMachine)
	p.must(err)
	if err := s.replayed(p.pi.Host); err != nil {
		p.Error(err)
	}
	p.waitMachineState(m.Name(), machine.Awake)
}

// waitReady waits until the porter of a version serves its pages.
func (p *porterVM) waitReady(version string) {
	p.Helper()
	p.waitPage(vmBoot, 9717, "/metrics", `version="`+version+`"`)
}

// waitPage waits until a page of the porter's host contains a text.
func (p *porterVM) waitPage(limit time.Duration, port uint16, path, want string) {
	p.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		text, err := p.get(port, path)
		if err == nil && strings.Contains(text, want) {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("port %d shows %s without %q: %v\n%.2000s", port, path, want, err, text)
		}
	}
}

// waitMachineState waits until the API has a machine in a state.
func (p *porterVM) waitMachineState(name string, want machine.State) {
	p.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		all := p.knownMachines()
		i := slices.IndexFunc(all, func(k knownState) bool { return k.Name == name })
		if i >= 0 && all[i].State == want {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("the porter knows %+v, want %s %s", all, name, want)
		}
	}
}

// knownMachines returns the porter's machines from the API.
func (p *porterVM) knownMachines() (all []knownState) {
	p.Helper()
	text, err := p.get(9717, "/api/v1/machines")
	p.must(err)
	p.must(json.Unmarshal([]byte(text), &all))
	return all
}

// wantNothingForgotten expects that no machine and no part of its sleep is lost.
func (p *porterVM) wantNothingForgotten(before []knownState) {
	p.Helper()
	after := p.knownMachines()
	for _, b := range before {
		i := slices.IndexFunc(after, func(k knownState) bool { return k.Name == b.Name })
		if i < 0 || after[i].SleptSeconds < b.SleptSeconds || after[i].MAC != b.MAC {
			p.Errorf("before the porter knew %+v, and now %+v", b, after)
		}
	}
}

// get fetches a page of the porter's host for the client.
func (p *porterVM) get(port uint16, path string) (string, error) {
	request, err := http.NewRequestWithContext(p.within(10*time.Second), http.MethodGet, "http://"+netip.AddrPortFrom(piAddr, port).String()+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := p.web.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return string(b), err
}

// report logs how long something took.
func (p *porterVM) report(what string, from, to time.Time) {
	p.Helper()
	reportTime(p.TB, what, from, to)
}
