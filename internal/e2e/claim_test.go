package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// addPC adds a second machine.
func addPC(h *harness) *lab.Machine {
	h.Helper()
	pc, err := h.lan.AddMachine(lab.MachineConfig{Name: "pc", Boot: 450 * time.Millisecond,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.30/24"), netip.MustParsePrefix("fd77::30/64")}})
	h.must(err)
	return pc
}

// TestSettlingMachineWakesAnother: a machine that is still settling is a client
// like any other.
func TestSettlingMachineWakesAnother(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := open(t, fastProbe)
			nas, pc := h.addNAS(nil), addPC(h)
			h.putToSleep(nas)
			h.register(pc.Host, registration("pc", pc.MAC(), monitored{pc.Addr4(), []any{22}}, monitored{pc.Addr6(), []any{22}}))
			if got := h.connect(pc.Host, ip, 22); got != lab.Banner("nas") {
				t.Errorf("the service said %q", got)
			}
			h.wantMetric(1, `nightporter_machine_state{machine="pc", state="settling"}`)
		})
	}
}

// TestMachineOfOneFamily: claim and wake work with IPv4 or IPv6 alone.
func TestMachineOfOneFamily(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		addr netip.Prefix
		to   func(*lab.Host) netip.Addr
	}{
		{netip.PrefixFrom(nas4, 24), (*lab.Host).Addr4},
		{netip.PrefixFrom(nas6, 64), (*lab.Host).Addr6},
	} {
		t.Run(c.addr.String(), func(t *testing.T) {
			h := open(t, fastProbe)
			nas := h.addNAS(func(m *lab.MachineConfig) { m.Addrs = []netip.Prefix{c.addr} })
			text := registration("nas", nas.MAC(), monitored{c.addr.Addr(), []any{22}})
			answer, err := h.daemon.RegisterIn(h.within(10*time.Second), nas.Host, c.to(h.lan.Porter()), []string{text}, 0)
			h.must(err)
			if answer != "OK." {
				t.Fatalf("registration answered %q", answer)
			}
			h.must(nas.Sleep(h.ctx))
			h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
			if got := h.connect(h.lan.Client(), c.addr.Addr(), 22); got != lab.Banner("nas") {
				t.Errorf("the service said %q", got)
			}
		})
	}
}

// TestClaimedAddressDefended: another host that tests a claimed address finds it in use.
func TestClaimedAddressDefended(t *testing.T) {
	h := open(t, fastProbe)
	thief, err := h.lan.AddMachine(lab.MachineConfig{
		Name: "thief", MAC: ether.MAC{2, 0x77, 0, 0, 0, 0x99}, ARPProbe: true,
		Addrs: []netip.Prefix{netip.PrefixFrom(nas4, 24), netip.PrefixFrom(nas6, 64)},
	})
	h.must(err)
	h.must(thief.Sleep(h.ctx))
	h.putToSleep(h.addNAS(nil))
	h.must(thief.PowerOn())
	found := map[netip.Addr]bool{}
	for range 2 {
		found[h.waitEvent(thief, lab.DADFailed).Addr] = true
	}
	if !found[nas4] || !found[nas6] {
		t.Errorf("duplicates found: %v, want both addresses", found)
	}
	h.wantMetric(1, `nightporter_machine_state{machine="nas", state="asleep"}`)
	h.wantMetric(0, `nightporter_address_conflicts_total{machine="nas"}`)
}

// TestAddressTakenByAnotherHost: after a conflict the new user of the address may register it.
func TestAddressTakenByAnotherHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ip   netip.Addr
		bits int
		from netip.Addr
	}{
		{nas4, 24, netip.Addr{}},
		{nas6, 64, netip.MustParseAddr("fd77::66")},
	} {
		t.Run(c.ip.String(), func(t *testing.T) {
			h := open(t, fastProbe)
			h.putToSleep(h.addNAS(nil))
			other, err := h.lan.AddHost("other", netip.MustParsePrefix("10.77.0.66/24"), netip.MustParsePrefix("fd77::66/64"))
			h.must(err)
			h.must(other.AddAddr(h.ctx, netip.PrefixFrom(c.ip, c.bits)))
			frames, err := lan.Announcement(other.MAC(), ether.Broadcast, other.MAC(), c.ip, c.from, netip.Addr{})
			h.must(err)
			h.must(other.SendFrame(frames[0]))
			_, err = h.daemon.Log.Wait(h.within(5*time.Second), 0, isConflict(c.ip, other.MAC()))
			h.must(err)
			h.register(other, registration("other", other.MAC(), monitored{c.ip, []any{22}}))
		})
	}
}

// TestCableOut: without a carrier the porter hears no machine, and does not take that for
// sleep.
func TestCableOut(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.register(nas.Host, nasRegistration(nas))
	h.must(h.lan.SetCable(h.lan.Porter(), false))
	_, err := h.daemon.Log.Wait(h.within(5*time.Second), 0, func(e labdaemon.Entry) bool {
		return e.Field("event") == "probe_failed" && strings.Contains(e.Field("err"), "carrier")
	})
	h.must(err)
	h.must(h.lan.SetCable(h.lan.Porter(), true))
	h.must(nas.SleepAfter(time.Second))
	asleep := h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	if off := h.waitEvent(nas, lab.AsleepNow); asleep.Time.Before(off.Time) {
		t.Errorf("claimed %v before the machine was off", off.Time.Sub(asleep.Time))
	}
}

// TestReloadAndNames: a new configuration can swap names. A machine that has registered with
// one of them gets a number, and stays reachable.
func TestReloadAndNames(t *testing.T) {
	machines := func(names ...string) string {
		text := fastProbe + "machines:\n"
		for i, n := range names {
			id := string(rune('1' + i))
			text += "- {name: " + n + ", mac: '02:77:00:00:00:9" + id + "', monitor: [{ip: 10.77.0.9" + id + ", port: [22]}]}\n"
		}
		return text
	}
	h := open(t, machines("one", "two"))
	h.reload(machines("two", "one"), "configuration reloaded")
	for _, c := range []struct{ name, mac string }{{"one", "02:77:00:00:00:92"}, {"two", "02:77:00:00:00:91"}} {
		h.wantMetric(1, `nightporter_machine_info{mac="%s", machine="%s"}`, c.mac, c.name)
	}
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	h.reload(machines("one", "nas"), "configuration reloaded")
	for _, c := range []struct{ name, mac string }{{"one", "02:77:00:00:00:91"}, {"nas", "02:77:00:00:00:92"}, {"nas-2", nas.MAC().String()}} {
		h.wantMetric(1, `nightporter_machine_info{mac="%s", machine="%s"}`, c.mac, c.name)
	}
	if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
}
