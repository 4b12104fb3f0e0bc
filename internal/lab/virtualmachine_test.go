package lab_test

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
)

// TestGuest lives and dies with its host: it is up some time after the network of that,
// goes with it, and is woken by nobody else.
func TestGuest(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	host := addMachine(t, l, nas())
	cfg := lab.MachineConfig{
		Name: "guest", Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.30/24")}, Boot: 300 * time.Millisecond, ARPProbe: true,
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22}},
	}
	guest, err := l.AddGuest(host, cfg)
	if err != nil {
		t.Fatal(err)
	}
	client := l.Client()
	served(t, client, "10.77.0.30:22", "guest")
	putToSleep(t, host)
	wait(t, guest, lab.AsleepNow)
	sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, guest.MAC()))
	wait(t, guest, lab.MagicPacket)
	if got := guest.State(); got != lab.Asleep {
		t.Errorf("a magic packet made the guest %s", got)
	}
	sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, host.MAC()))
	on, up := wait(t, host, lab.PoweredOn), wait(t, guest, lab.NetworkUp)
	if took := up.Time.Sub(on.Time); took < 20*time.Millisecond+600*time.Millisecond {
		t.Errorf("the guest is up %v after the power of its host, want the host's boot, its own and its probes", took)
	}
	wait(t, guest, lab.ServiceUp)
	served(t, client, "10.77.0.30:22", "guest")
	if err := host.PowerCut(testContext(t)); err != nil {
		t.Fatal(err)
	}
	wait(t, guest, lab.AsleepNow)
	if _, err := l.AddGuest(host, cfg); err == nil {
		t.Error("a host that is off got a guest")
	}
}
