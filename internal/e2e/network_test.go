package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// otherMAC is what the porter's interface gets.
var otherMAC = ether.MAC{2, 0x77, 0, 0, 0xab, 0xcd}

// said waits for an event of an interface after the first n lines.
func (h *harness) waitInterfaceEvent(n int, event, ifi string, words ...string) labdaemon.Entry {
	h.Helper()
	e, err := h.daemon.Log.Wait(h.within(10*time.Second), n, func(e labdaemon.Entry) bool {
		return e.Field("event") == event && e.Field("interface") == ifi && contains(e.Field("reason"), words...)
	})
	h.must(err)
	return e
}

// repeated returns how often an operator reads that after the first n lines.
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

// ready asks the daemon by way of the loopback of its own host, which has no cable.
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

// misled has the client believe that the sleeping machine's addresses are at its
// own MAC, as one that missed the claim does: only an announcement changes that.
func misleadClient(h *harness, m *lab.Machine) {
	h.Helper()
	for _, ip := range []netip.Addr{nas4, nas6} {
		h.must(h.lan.Client().SetNeighbor(ip, m.MAC()))
	}
}

// longAsleep is putToSleep, until the claim has been announced for the last time:
// what the client hears from then on is another announcement.
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

// announced waits until the client was told where the machine's addresses are.
func waitAnnounced(h *harness, mac ether.MAC) {
	h.Helper()
	for _, ip := range []netip.Addr{nas4, nas6} {
		h.waitNeighbor(h.lan.Client(), ip, mac)
	}
}

// TestCableOutWhileAsleep: the porter says that it cannot work, and once it can
// it announces its claims anew, to a LAN that may have forgotten them.
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

// TestStartedWhileTheCableWasOut: a machine that was started by hand meanwhile
// answers when it is asked, and its claim is not announced to anybody.
func TestExternalStartWithoutCable(t *testing.T) {
	h := open(t, fastProbe)
	nas, porter := h.addNAS(nil), h.lan.Porter()
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	h.must(h.lan.SetCable(porter, false))
	h.waitInterfaceEvent(n, isOut, "eth0")
	h.must(nas.PowerOn())
	h.waitEvent(nas, lab.NetworkUp)
	misleadClient(h, nas) // now it is the truth
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
	h.waitMove(n, "nas", "", "awake", machine.WhyStarted) // a frame may come before the news of the cable
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

// TestLinkDownAndUp: the kernel forgets addresses and neighbours with a link that
// is switched off; the porter puts its own back.
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
				t.Fatal("a kernel that forgets nothing proves nothing")
			}
			misleadClient(h, nas)
			h.must(porter.SetLink(lab.Interface, true))
			h.must(porter.AddAddr(h.ctx, netip.MustParsePrefix("fd77::2/64"))) // as a network manager does
			h.waitInterfaceEvent(n, isBack, "eth0")
			waitPorterAddresses(h, whole)
			if local {
				waitPinned(h, nas4)
				waitPinned(h, nas6)
			}
			waitAnnounced(h, porter.MAC())
			h.call(h.lan.Client(), nas, nas6, 22)
			waitPorterAddresses(h, before)
		})
	}
}

// becomesPinned waits until the porter's kernel has a permanent entry for ip.
func waitPinned(h *harness, ip netip.Addr) {
	h.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !isPinned(h, ip) {
		if time.Now().After(deadline) {
			h.Fatalf("the porter's kernel has no permanent entry for %v", ip)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestGroupsAfterIPv6WasOff: the solicited-node group is joined anew, which a
// switch that snoops on MLD must hear.
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
		for deadline := time.Now().Add(10 * time.Second); !joined(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the porter is not in the group")
			}
		}
	}
	become()
	n := h.daemon.Log.Len()
	h.must(porter.SetMTU(lab.Interface, 1000))
	if joined() {
		t.Fatal("a kernel that forgets nothing proves nothing")
	}
	h.waitInterfaceEvent(n, restate, "eth0") // it was opened anew, without IPv6
	h.must(porter.SetMTU(lab.Interface, 1500))
	h.must(porter.AddAddr(h.ctx, netip.MustParsePrefix("fd77::2/64")))
	become()
}

// TestOurAddressChanges: a new lease. Probes leave from the address that we have.
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
	// That it fell silent is seen from the new address too.
	h.must(nas.Sleep(h.ctx))
	h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
	h.call(h.lan.Client(), nas, nas4, 22)
}

// TestOurAddressIsAMachines: what DHCP has given to our own host is no longer a
// sleeping machine's to be claimed.
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

// TestOurMACChanges: everybody is told, and everything is answered and sent with
// the new one.
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
	waitPinned(h, nas4)
	if mac, _, _, err := porter.Neighbor(nas4); err != nil || mac != otherMAC {
		t.Errorf("the porter's kernel has the machine at %v (%v), want %v", mac, err, otherMAC)
	}
	h.call(client, nas, nas4, 22)
	wantReady(h)
}

// TestInterfaceComesAgain: a USB adapter is pulled out and put in again.
func TestInterfaceComesAgain(t *testing.T) {
	t.Parallel()
	for _, mode := range []struct {
		name, conf string
		open       func(*testing.T, string) *harness
	}{
		{modes[0].name, modes[0].conf, open},
		{modes[1].name, modes[1].conf, open},
		{"as nobody", modes[0].conf, openUnprivileged}, // sockets are opened without root
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
			// Counters go on.
			h.wantMetric(0, `nightporter_capture_drops_total{interface="eth0"}`)
		})
	}
}

// unreadyFor waits until that is the reason.
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

// claims tells whether a frame says that one of the addresses is at mac.
func isClaim(f lab.Frame, mac ether.MAC, ips ...netip.Addr) bool {
	var p lan.Packet
	if p.Parse(f.Data) != lan.Accepted || p.SenderMAC != mac {
		return false
	}
	return p.Kind == lan.NeighborAdvertisement && slices.Contains(ips, p.Target) ||
		(p.Kind == lan.ARPRequest || p.Kind == lan.ARPReply) && slices.Contains(ips, p.From)
}

// asks tells whether a frame is an ARP request from one address for another.
func isARPRequest(f lab.Frame, from, to netip.Addr) bool {
	var p lan.Packet
	return p.Parse(f.Data) == lan.Accepted && p.Kind == lan.ARPRequest && p.From == from && p.To == to
}
