package lab_test

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
)

// A virtual machine runs only while its host does: it is up some time after the network of
// the host and goes down with it. Magic packets do not wake it.
func TestVirtualMachine(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	host := addMachine(t, l, nas())
	cfg := lab.MachineConfig{
		Name: "vm", Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.30/24")}, Boot: 300 * time.Millisecond, ARPProbe: true,
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22}},
	}
	vm, err := l.AddVirtualMachine(host, cfg)
	if err != nil {
		t.Fatal(err)
	}
	client := l.Client()
	served(t, client, "10.77.0.30:22", "vm")
	putToSleep(t, host)
	wait(t, vm, lab.AsleepNow)
	sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, vm.MAC()))
	wait(t, vm, lab.MagicPacket)
	if got := vm.State(); got != lab.Asleep {
		t.Errorf("a magic packet made the virtual machine %s", got)
	}
	sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, host.MAC()))
	on, up := wait(t, host, lab.PoweredOn), wait(t, vm, lab.NetworkUp)
	if took := up.Time.Sub(on.Time); took < 20*time.Millisecond+600*time.Millisecond {
		t.Errorf("the virtual machine is up %v after the power of its host, want the host's boot, its own and its probes", took)
	}
	wait(t, vm, lab.ServiceUp)
	served(t, client, "10.77.0.30:22", "vm")
	if err := host.PowerCut(testContext(t)); err != nil {
		t.Fatal(err)
	}
	wait(t, vm, lab.AsleepNow)
	if _, err := l.AddVirtualMachine(host, cfg); err == nil {
		t.Error("a host that is off got a virtual machine")
	}
}
