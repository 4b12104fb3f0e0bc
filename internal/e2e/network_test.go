package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/waittest"
)

// otherMAC is the second MAC of the porter's interface.
var otherMAC = ether.MAC{2, 0x77, 0, 0, 0xab, 0xcd}

// countEvents counts the log lines of an event after the first n lines, above the level DEBUG.
func countEvents(h *harness, n int, event string) int {
	count := 0
	for _, line := range strings.Split(h.daemon.Log.Text(), "\n")[n:] {
		if strings.Contains(line, `"event":"`+event+`"`) && !strings.Contains(line, `"level":"DEBUG"`) {
			count++
		}
	}
	return count
}

// Events of an interface.
const (
	isOut   = "interface_out"
	isBack  = "interface_back"
	restate = "announced"
)

// getReady requests readiness by the loopback of the daemon's host, which needs no cable.
func getReady(h *harness) (status int, body string) {
	h.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: h.lan.Porter().Dial}}
	req, err := http.NewRequestWithContext(h.within(5*time.Second), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/-/ready", labdaemon.HTTPPort), nil)
	h.must(err)
	resp, err := client.Do(req)
	h.must(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	h.must(err)
	return resp.StatusCode, string(b)
}

func wantUnready(h *harness, reason string) {
	h.Helper()
	if status, body := getReady(h); status != http.StatusServiceUnavailable || !strings.Contains(body, reason) {
		h.Errorf("/-/ready: %d %q, want 503 with %q", status, body, reason)
	}
}

func wantReady(h *harness) {
	h.Helper()
	if status, body := getReady(h); status != http.StatusOK {
		h.Errorf("/-/ready: %d %q, want 200", status, body)
	}
}

// misleadClient sets the client's neighbor entries of the sleeping machine to the machine's own
// MAC, as if it had missed the claim. Only an announcement changes that.
func misleadClient(h *harness, m *lab.Machine) {
	h.Helper()
	for _, ip := range []netip.Addr{nas4, nas6} {
		h.must(h.lan.Client().SetNeighbor(ip, m.MAC()))
	}
}

// putToLongSleep is putToSleep, and waits for the last announcement of the claim. A later
// announcement is a new one.
func putToLongSleep(h *harness, m *lab.Machine) {
	h.Helper()
	capture, err := h.lan.Client().Capture(h.ctx)
	h.must(err)
	defer capture.Close()
	h.putToSleep(m)
	frames := 0
	_, err = capture.Wait(h.within(20*time.Second), func(f lab.Frame) bool {
		if isClaim(f, h.lan.Porter().MAC(), nas4) {
			frames++
		}
		return frames == 4*2 // a request and a reply each time
	})
	h.must(err)
}

// waitAnnounced waits until the client's neighbor entries of the machine's addresses have mac.
func waitAnnounced(h *harness, mac ether.MAC) {
	h.Helper()
	for _, ip := range []netip.Addr{nas4, nas6} {
		h.waitNeighbor(h.lan.Client(), ip, mac)
	}
}

// TestCableOutWhileAsleep: the porter reports the outage, and announces its claims again when
// the cable is back, because the LAN may have forgotten them.
func TestCableOutWhileAsleep(t *testing.T) {
	h := open(t, fastProbe)
	nas, porter := h.addNAS(nil), h.lan.Porter()
	putToLongSleep(h, nas)
	wantReady(h)
	n := h.daemon.Log.Len()
	h.must(h.lan.SetCable(porter, false))
	h.waitInterfaceEvent(n, isOut, "eth0", "interface eth0 has no carrier")
	wantUnready(h, "interface eth0 has no carrier")
	misleadClient(h, nas)
	h.must(h.lan.SetCable(porter, true))
	h.waitInterfaceEvent(n, isBack, "eth0")
	waitAnnounced(h, porter.MAC())
	wantReady(h)
	if got := countEvents(h, n, isOut); got != 1 {
		t.Errorf("said %d times that the interface is out, want once", got)
	}
	if got := countEvents(h, n, "address_waiting"); got != 0 {
		t.Errorf("%d addresses lost their place, which an interface that is out does not tell", got)
	}
	h.call(h.lan.Client(), nas, nas4, 22)
}

// TestExternalStartWithoutCable: a machine that started during the outage answers the porter's
// probe, and its claim is not announced.
func TestExternalStartWithoutCable(t *testing.T) {
	h := open(t, fastProbe)
	nas, porter := h.addNAS(nil), h.lan.Porter()
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	h.must(h.lan.SetCable(porter, false))
	h.waitInterfaceEvent(n, isOut, "eth0")
	h.must(nas.PowerOn())
	h.waitEvent(nas, lab.NetworkUp)
	misleadClient(h, nas) // now the entries are right
	capture, err := h.lan.Client().Capture(h.ctx)
	h.must(err)
	defer capture.Close()
	atMachine, err := nas.Capture(h.ctx)
	h.must(err)
	defer atMachine.Close()
	h.must(h.lan.SetCable(porter, true))
	_, err = atMachine.Wait(h.within(10*time.Second), func(f lab.Frame) bool {
		var p lan.Packet
		return p.Parse(f.Data) == lan.Accepted && p.Kind == lan.NeighborSolicitation && p.Target == nas6 &&
			p.Src == porter.MAC() && p.Dst == nas.MAC()
	})
	h.must(err)
	h.waitMove(n, "nas", "", "awake", machine.WhyStarted) // a frame may come before the carrier event
	h.waitInterfaceEvent(n, restate, "eth0")
	for _, f := range capture.Frames() {
		if !f.Outgoing && isClaim(f, porter.MAC(), nas4, nas6) {
			t.Errorf("announced an address of a machine that is awake: % x", f.Data)
		}
	}
	if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
}

// TestLinkDownAndUp: the kernel forgets addresses and neighbors of a link that is switched off.
// The porter restores its own.
func TestLinkDownAndUp(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{"wake: {local: true}\n", "claim: {mode: bind}\n"} {
		local := strings.Contains(conf, "local")
		t.Run(conf, func(t *testing.T) {
			h := open(t, fastProbe+conf)
			nas, porter := h.addNAS(nil), h.lan.Porter()
			before := porterAddresses(h)
			whole := before
			if !local {
				whole = withSorted(before, "10.77.0.20/32", "fd77::20/128")
			}
			putToLongSleep(h, nas)
			waitPorterAddresses(h, whole)
			n := h.daemon.Log.Len()
			h.must(porter.SetLink(lab.Interface, false))
			h.waitInterfaceEvent(n, isOut, "eth0", "interface eth0 is down")
			wantUnready(h, "interface eth0 is down")
			if isPinned(h, nas4) || len(porterAddresses(h)) == len(whole) {
				t.Fatal("the kernel kept its state, so the test checks nothing")
			}
			misleadClient(h, nas)
			h.must(porter.SetLink(lab.Interface, true))
			h.must(porter.AddAddr(h.ctx, netip.MustParsePrefix("fd77::2/64"))) // as a network manager does
			h.waitInterfaceEvent(n, isBack, "eth0")
			waitPorterAddresses(h, whole)
			if local {
				waitPinned(h, 10*time.Second, nas4)
				waitPinned(h, 10*time.Second, nas6)
			}
			waitAnnounced(h, porter.MAC())
			h.call(h.lan.Client(), nas, nas6, 22)
			waitPorterAddresses(h, before)
		})
	}
}

// waitPinned waits until the porter's kernel has a permanent entry for ip.
func waitPinned(h *harness, limit time.Duration, ip netip.Addr) {
	h.Helper()
	waittest.UntilWithin(h, limit, fmt.Sprintf("the porter's kernel has a permanent entry for %v", ip), func() bool { return isPinned(h, ip) })
}

// TestGroupsAfterIPv6WasOff: the porter joins the solicited-node group again, for switches that
// snoop on MLD.
func TestGroupsAfterIPv6WasOff(t *testing.T) {
	h := open(t, fastProbe)
	nas, porter := h.addNAS(nil), h.lan.Porter()
	h.putToSleep(nas)
	joined := func() bool {
		var groups []byte
		h.must(porter.Do(func() (err error) {
			groups, err = os.ReadFile("/proc/thread-self/net/igmp6")
			return err
		}))
		return strings.Contains(string(groups), "ff0200000000000000000001ff000020")
	}
	become := func() {
		t.Helper()
		waittest.UntilWithin(t, 10*time.Second, "the porter is in the group", joined)
	}
	become()
	n := h.daemon.Log.Len()
	h.must(porter.SetMTU(lab.Interface, 1000))
	if joined() {
		t.Fatal("the kernel kept its state, so the test checks nothing")
	}
	h.waitInterfaceEvent(n, restate, "eth0") // it was reopened without IPv6
	h.must(porter.SetMTU(lab.Interface, 1500))
	h.must(porter.AddAddr(h.ctx, netip.MustParsePrefix("fd77::2/64")))
	become()
}

// TestPorterAddressChanges: after a new lease, probes have the porter's new address.
func TestPorterAddressChanges(t *testing.T) {
	h := open(t, fastProbe)
	nas, porter := h.addNAS(nil), h.lan.Porter()
	n := h.daemon.Log.Len()
	h.register(nas.Host, nasRegistration(nas))
	capture, err := nas.Capture(h.ctx)
	h.must(err)
	defer capture.Close()
	h.must(porter.DelAddr(netip.MustParsePrefix("10.77.0.2/24")))
	h.must(porter.AddAddr(h.ctx, netip.MustParsePrefix("10.77.0.3/24")))
	e, err := h.daemon.Log.Wait(h.within(10*time.Second), n, func(e labdaemon.Entry) bool {
		return e.Field("event") == "readdressed" && contains(e.Field("addresses"), "10.77.0.3/24")
	})
	h.must(err)
	if contains(e.Field("addresses"), "10.77.0.2/24") {
		t.Errorf("addresses: %s", e.Field("addresses"))
	}
	_, err = capture.Wait(h.within(10*time.Second), func(f lab.Frame) bool { return isARPRequest(f, netip.MustParseAddr("10.77.0.3"), nas4) })
	h.must(err)
	// The porter notices the machine's silence with its new address too.
	h.must(nas.Sleep(h.ctx))
	h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
	h.call(h.lan.Client(), nas, nas4, 22)
}

// TestPorterTakesMachineAddress: an address that DHCP has given to the porter's own host is a
// conflict, and no longer claimed.
func TestPorterTakesMachineAddress(t *testing.T) {
	h := open(t, fastProbe)
	nas, porter := h.addNAS(nil), h.lan.Porter()
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	h.must(porter.AddAddr(h.ctx, netip.PrefixFrom(nas4, 24)))
	_, err := h.daemon.Log.Wait(h.within(10*time.Second), n, isConflict(nas4, porter.MAC()))
	h.must(err)
	h.call(h.lan.Client(), nas, nas6, 22)
}

// TestPorterMACChanges: the porter announces its claims with its new MAC, and answers and sends
// with it.
func TestPorterMACChanges(t *testing.T) {
	h := open(t, fastProbe+"wake: {local: true}\n")
	nas, porter, client := h.addNAS(nil), h.lan.Porter(), h.lan.Client()
	putToLongSleep(h, nas)
	h.wantNeighbor(client, nas4, porter.MAC())
	h.wantNeighbor(client, nas6, porter.MAC())
	n := h.daemon.Log.Len()
	h.must(porter.SetMAC(otherMAC))
	h.waitInterfaceEvent(n, restate, "eth0")
	waitAnnounced(h, otherMAC)
	h.wantNeighbor(client, nas4, otherMAC)
	h.wantNeighbor(client, nas6, otherMAC)
	waitPinned(h, 10*time.Second, nas4)
	if mac, _, _, err := porter.Neighbor(nas4); err != nil || mac != otherMAC {
		t.Errorf("the porter's kernel has the machine at %v (%v), want %v", mac, err, otherMAC)
	}
	h.call(client, nas, nas4, 22)
	wantReady(h)
}

// TestInterfaceComesAgain: an interface is removed and added again, as a USB adapter.
func TestInterfaceComesAgain(t *testing.T) {
	t.Parallel()
	for _, mode := range []struct {
		name, conf string
		open       func(*testing.T, string) *harness
	}{
		{modes[0].name, modes[0].conf, open},
		{modes[1].name, modes[1].conf, open},
		{"unprivileged", modes[0].conf, openUnprivileged}, // the sockets are reopened without root
	} {
		t.Run(mode.name, func(t *testing.T) {
			h := mode.open(t, fastProbe+mode.conf)
			nas, porter, client := h.addNAS(nil), h.lan.Porter(), h.lan.Client()
			before := porterAddresses(h)
			putToLongSleep(h, nas)
			n := h.daemon.Log.Len()
			h.must(porter.RemoveLink(lab.Interface))
			h.waitInterfaceEvent(n, isOut, "eth0")
			waitUnready(h, "interface eth0 is gone")
			misleadClient(h, nas)
			h.must(h.lan.RestoreLink(porter))
			h.waitInterfaceEvent(n, isBack, "eth0")
			h.waitInterfaceEvent(n, restate, "eth0")
			waitAnnounced(h, porter.MAC())
			wantReady(h)
			if mode.name == "bind" {
				waitPorterAddresses(h, withSorted(before, "10.77.0.20/32", "fd77::20/128"))
			}
			h.call(client, nas, nas4, 22)
			h.putToSleep(nas)
			h.call(client, nas, nas6, 22)
			// Counters continue.
			h.wantMetric(0, `nightporter_capture_drops_total{interface="eth0"}`)
		})
	}
}

// waitUnready waits until the daemon is unready for a reason.
func waitUnready(h *harness, reason string) {
	h.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, body := getReady(h); strings.Contains(body, reason) {
			wantUnready(h, reason)
			return
		}
		if time.Now().After(deadline) {
			wantUnready(h, reason)
			return
		}
	}
}
