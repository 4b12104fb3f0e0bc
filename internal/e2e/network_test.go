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
func (h *house) said(n int, event, ifi string, words ...string) labdaemon.Entry {
	h.Helper()
	e, err := h.d.Log.Wait(h.within(10*time.Second), n, func(e labdaemon.Entry) bool {
		return e.Field("event") == event && e.Field("interface") == ifi && contains(e.Field("reason"), words...)
	})
	h.must(err)
	return e
}

// repeated returns how often an operator reads that after the first n lines.
func (h *house) repeated(n int, event string) int {
	count := 0
	for _, line := range strings.Split(h.d.Log.Text(), "\n")[n:] {
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
func (h *house) ready() (status int, body string) {
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

func (h *house) wantUnready(reason string) {
	h.Helper()
	if status, body := h.ready(); status != http.StatusServiceUnavailable || !strings.Contains(body, reason) {
		h.Errorf("/-/ready: %d %q, want 503 with %q", status, body, reason)
	}
}

func (h *house) wantReady() {
	h.Helper()
	if status, body := h.ready(); status != http.StatusOK {
		h.Errorf("/-/ready: %d %q, want 200", status, body)
	}
}

// misled has the client believe that the sleeping machine's addresses are at its
// own MAC, as one that missed the claim does: only an announcement changes that.
func (h *house) misled(m *lab.Machine) {
	h.Helper()
	for _, ip := range []netip.Addr{nas4, nas6} {
		h.must(h.lan.Client().SetNeighbor(ip, m.MAC()))
	}
}

// longAsleep is putToSleep, until the claim has been announced for the last time:
// what the client hears from then on is another announcement.
func (h *house) longAsleep(m *lab.Machine) {
	h.Helper()
	capture, err := h.lan.Client().Capture(h.ctx)
	h.must(err)
	defer capture.Close()
	h.putToSleep(m)
	frames := 0
	_, err = capture.Wait(h.within(20*time.Second), func(f lab.Frame) bool {
		if claims(f, h.lan.Porter().MAC(), nas4) {
			frames++
		}
		return frames == 4*2 // a request and a reply each time
	})
	h.must(err)
}

// announced waits until the client was told where the machine's addresses are.
func (h *house) announced(mac ether.MAC) {
	h.Helper()
	for _, ip := range []netip.Addr{nas4, nas6} {
		h.neighbor(h.lan.Client(), ip, mac)
	}
}

// TestCableOutWhileAsleep: the porter says that it cannot work, and once it can
// it announces its claims anew, to a LAN that may have forgotten them.
func TestCableOutWhileAsleep(t *testing.T) {
	h := open(t, brisk)
	nas, porter := h.nas(nil), h.lan.Porter()
	h.longAsleep(nas)
	h.wantReady()
	n := h.d.Log.Len()
	h.must(h.lan.SetCable(porter, false))
	h.said(n, isOut, "eth0", "interface eth0 has no carrier")
	h.wantUnready("interface eth0 has no carrier")
	h.misled(nas)
	h.must(h.lan.SetCable(porter, true))
	h.said(n, isBack, "eth0")
	h.announced(porter.MAC())
	h.wantReady()
	if got := h.repeated(n, isOut); got != 1 {
		t.Errorf("said %d times that the interface is out, want once", got)
	}
	if got := h.repeated(n, "address_waiting"); got != 0 {
		t.Errorf("%d addresses lost their place, which an interface that is out does not tell", got)
	}
	h.call(h.lan.Client(), nas, nas4, 22)
}

// TestStartedWhileTheCableWasOut: a machine that was started by hand meanwhile
// answers when it is asked, and its claim is not announced to anybody.
func TestStartedWhileTheCableWasOut(t *testing.T) {
	h := open(t, brisk)
	nas, porter := h.nas(nil), h.lan.Porter()
	h.putToSleep(nas)
	n := h.d.Log.Len()
	h.must(h.lan.SetCable(porter, false))
	h.said(n, isOut, "eth0")
	h.must(nas.PowerOn())
	h.event(nas, lab.NetworkUp)
	h.misled(nas) // now it is the truth
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
	h.moved(n, "nas", "", "awake", machine.WhyStarted) // a frame may come before the news of the cable
	h.said(n, restate, "eth0")
	for _, f := range capture.Frames() {
		if !f.Outgoing && claims(f, porter.MAC(), nas4, nas6) {
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
			h := open(t, brisk+conf)
			nas, porter := h.nas(nil), h.lan.Porter()
			before := h.addresses()
			whole := before
			if !local {
				whole = with(before, "10.77.0.20/32", "fd77::20/128")
			}
			h.longAsleep(nas)
			h.becomes(whole)
			n := h.d.Log.Len()
			h.must(porter.SetLink(lab.Interface, false))
			h.said(n, isOut, "eth0", "interface eth0 is down")
			h.wantUnready("interface eth0 is down")
			if h.pinned(nas4) || len(h.addresses()) == len(whole) {
				t.Fatal("a kernel that forgets nothing proves nothing")
			}
			h.misled(nas)
			h.must(porter.SetLink(lab.Interface, true))
			h.must(porter.AddAddr(h.ctx, netip.MustParsePrefix("fd77::2/64"))) // as a network manager does
			h.said(n, isBack, "eth0")
			h.becomes(whole)
			if local {
				h.becomesPinned(nas4)
				h.becomesPinned(nas6)
			}
			h.announced(porter.MAC())
			h.call(h.lan.Client(), nas, nas6, 22)
			h.becomes(before)
		})
	}
}

// becomesPinned waits until the porter's kernel has a permanent entry for ip.
func (h *house) becomesPinned(ip netip.Addr) {
	h.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !h.pinned(ip) {
		if time.Now().After(deadline) {
			h.Fatalf("the porter's kernel has no permanent entry for %v", ip)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestGroupsAfterIPv6WasOff: the solicited-node group is joined anew, which a
// switch that snoops on MLD must hear.
func TestGroupsAfterIPv6WasOff(t *testing.T) {
	h := open(t, brisk)
	nas, porter := h.nas(nil), h.lan.Porter()
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
	n := h.d.Log.Len()
	h.must(porter.SetMTU(lab.Interface, 1000))
	if joined() {
		t.Fatal("a kernel that forgets nothing proves nothing")
	}
	h.said(n, restate, "eth0") // it was opened anew, without IPv6
	h.must(porter.SetMTU(lab.Interface, 1500))
	h.must(porter.AddAddr(h.ctx, netip.MustParsePrefix("fd77::2/64")))
	become()
}

// TestOurAddressChanges: a new lease. Probes leave from the address that we have.
func TestOurAddressChanges(t *testing.T) {
	h := open(t, brisk)
	nas, porter := h.nas(nil), h.lan.Porter()
	n := h.d.Log.Len()
	h.register(nas.Host, everything(nas))
	capture, err := nas.Capture(h.ctx)
	h.must(err)
	defer capture.Close()
	h.must(porter.DelAddr(netip.MustParsePrefix("10.77.0.2/24")))
	h.must(porter.AddAddr(h.ctx, netip.MustParsePrefix("10.77.0.3/24")))
	e, err := h.d.Log.Wait(h.within(10*time.Second), n, func(e labdaemon.Entry) bool {
		return e.Field("event") == "readdressed" && contains(e.Field("addresses"), "10.77.0.3/24")
	})
	h.must(err)
	if contains(e.Field("addresses"), "10.77.0.2/24") {
		t.Errorf("addresses: %s", e.Field("addresses"))
	}
	_, err = capture.Wait(h.within(10*time.Second), func(f lab.Frame) bool { return asks(f, netip.MustParseAddr("10.77.0.3"), nas4) })
	h.must(err)
	// That it fell silent is seen from the new address too.
	h.must(nas.Sleep(h.ctx))
	h.moved(n, "nas", "settling", "asleep", machine.WhySilent)
	h.call(h.lan.Client(), nas, nas4, 22)
}

// TestOurAddressIsAMachines: what DHCP has given to our own host is no longer a
// sleeping machine's to be claimed.
func TestOurAddressIsAMachines(t *testing.T) {
	h := open(t, brisk)
	nas, porter := h.nas(nil), h.lan.Porter()
	h.putToSleep(nas)
	n := h.d.Log.Len()
	h.must(porter.AddAddr(h.ctx, netip.PrefixFrom(nas4, 24)))
	_, err := h.d.Log.Wait(h.within(10*time.Second), n, isConflict(nas4, porter.MAC()))
	h.must(err)
	h.call(h.lan.Client(), nas, nas6, 22)
}

// TestOurMACChanges: everybody is told, and everything is answered and sent with
// the new one.
func TestOurMACChanges(t *testing.T) {
	h := open(t, brisk+"wake: {local: true}\n")
	nas, porter, client := h.nas(nil), h.lan.Porter(), h.lan.Client()
	h.longAsleep(nas)
	h.neighborOf(client, nas4, porter.MAC())
	h.neighborOf(client, nas6, porter.MAC())
	n := h.d.Log.Len()
	h.must(porter.SetMAC(otherMAC))
	h.said(n, restate, "eth0")
	h.announced(otherMAC)
	h.neighborOf(client, nas4, otherMAC)
	h.neighborOf(client, nas6, otherMAC)
	h.becomesPinned(nas4)
	if mac, _, _, err := porter.Neighbor(nas4); err != nil || mac != otherMAC {
		t.Errorf("the porter's kernel has the machine at %v (%v), want %v", mac, err, otherMAC)
	}
	h.call(client, nas, nas4, 22)
	h.wantReady()
}

// TestInterfaceComesAgain: a USB adapter is pulled out and put in again.
func TestInterfaceComesAgain(t *testing.T) {
	t.Parallel()
	for _, mode := range []struct {
		name, conf string
		open       func(*testing.T, string) *house
	}{
		{modes[0].name, modes[0].conf, open},
		{modes[1].name, modes[1].conf, open},
		{"as nobody", modes[0].conf, openAsNobody}, // sockets are opened without root
	} {
		t.Run(mode.name, func(t *testing.T) {
			h := mode.open(t, brisk+mode.conf)
			nas, porter, client := h.nas(nil), h.lan.Porter(), h.lan.Client()
			before := h.addresses()
			h.longAsleep(nas)
			n := h.d.Log.Len()
			h.must(porter.RemoveLink(lab.Interface))
			h.said(n, isOut, "eth0")
			h.unreadyFor("interface eth0 is gone")
			h.misled(nas)
			h.must(h.lan.RestoreLink(porter))
			h.said(n, isBack, "eth0")
			h.said(n, restate, "eth0")
			h.announced(porter.MAC())
			h.wantReady()
			if mode.name == "bind" {
				h.becomes(with(before, "10.77.0.20/32", "fd77::20/128"))
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
func (h *house) unreadyFor(reason string) {
	h.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, body := h.ready(); strings.Contains(body, reason) {
			h.wantUnready(reason)
			return
		}
		if time.Now().After(deadline) {
			h.wantUnready(reason)
			return
		}
	}
}

// claims tells whether a frame says that one of the addresses is at mac.
func claims(f lab.Frame, mac ether.MAC, ips ...netip.Addr) bool {
	var p lan.Packet
	if p.Parse(f.Data) != lan.Accepted || p.SenderMAC != mac {
		return false
	}
	return p.Kind == lan.NeighborAdvertisement && slices.Contains(ips, p.Target) ||
		(p.Kind == lan.ARPRequest || p.Kind == lan.ARPReply) && slices.Contains(ips, p.From)
}

// asks tells whether a frame is an ARP request from one address for another.
func asks(f lab.Frame, from, to netip.Addr) bool {
	var p lan.Packet
	return p.Parse(f.Data) == lan.Accepted && p.Kind == lan.ARPRequest && p.From == from && p.To == to
}
