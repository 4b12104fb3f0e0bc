package e2e

import (
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
)

// startSecondPorter starts another daemon on a host of its own, and returns a harness for it.
func startSecondPorter(h *harness, conf string) *harness {
	h.Helper()
	host, err := h.lan.AddHost("porter2", netip.MustParsePrefix("10.77.0.3/24"), netip.MustParsePrefix("fd77::3/64"))
	h.must(err)
	d, err := labdaemon.Start(h.ctx, h.lan, h.TempDir(), labdaemon.Options{Exe: os.Args[0], Env: programEnv, Config: conf, Host: host})
	h.must(err)
	h.Cleanup(func() {
		d.Kill()
		if h.Failed() {
			h.Log("the second daemon's log:\n" + d.Log.Text())
		}
		if strings.Contains(d.Log.Text(), "DATA RACE") {
			h.Error("the second daemon has a data race:\n" + d.Log.Text())
		}
	})
	return &harness{TB: h.TB, ctx: h.ctx, lan: h.lan, daemon: d}
}

const (
	// fastRecheck lets a porter recheck a conceded address after 1 to 2 s.
	fastRecheck = "probe: {interval: 120ms, misses: 2}\n"

	// isOver is the event when the porter claims it again.
	isOver = "conflict_over"
)

// waitAddressEvent waits for an event of an address.
func waitAddressEvent(h *harness, n int, event string, ip netip.Addr) labdaemon.Entry {
	h.Helper()
	e, err := h.daemon.Log.Wait(h.within(10*time.Second), n, func(e labdaemon.Entry) bool {
		return e.Field("event") == event && e.Field("ip") == ip.String()
	})
	h.must(err)
	return e
}

// whoAnswers lets the client broadcast a request for an address. It returns the MACs of the
// answers: the first one, and those before the router has answered another request.
func whoAnswers(h *harness, capture *lab.Capture, ip netip.Addr) (macs []ether.MAC) {
	h.Helper()
	client, router := h.lan.Client(), h.lan.Router()
	own := clientAddr(client, ip)
	// ask sends a request and waits for an answer about its target.
	ask := func(target netip.Addr) {
		seen := len(capture.Frames())
		question, err := lan.NeighborProbe(client.MAC(), ether.Broadcast, own, target)
		h.must(err)
		h.must(client.SendFrame(question))
		_, err = capture.Wait(h.within(5*time.Second), func(f lab.Frame) bool {
			if seen--; seen >= 0 || f.Outgoing {
				return false
			}
			var p lan.Packet
			if p.Parse(f.Data) != lan.Accepted || p.Dst != client.MAC() {
				return false
			}
			about := p.Target // of a neighbor advertisement
			if p.Kind == lan.ARPReply {
				about = p.From
			}
			if about == ip {
				macs = append(macs, p.Src)
			}
			return about == target
		})
		h.must(err)
	}
	ask(ip)
	ask(clientAddr(router, ip))
	return macs
}

// TestFaultSecondPorter: two daemons have the same machine. The second one to claim notices the
// first, and concedes the addresses.
func TestFaultSecondPorter(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	late := startSecondPorter(h, "probe: {interval: 300ms}\n")
	sleepBeforeBoth(h, nas, late)
	capture, err := h.lan.CapturePort(h.ctx, h.lan.Client())
	h.must(err)
	defer capture.Close()
	for _, ip := range []netip.Addr{nas4, nas6} {
		if macs := whoAnswers(h, capture, ip); len(macs) != 1 || macs[0] != h.lan.Porter().MAC() {
			t.Errorf("%v is answered for by %v, want only %v", ip, macs, h.lan.Porter().MAC())
		}
	}
	late.wantMetric(2, `nightporter_address_conflicts_total{machine="nas"}`)
	h.wantMetric(0, `nightporter_address_conflicts_total{machine="nas"}`)
	if status, text, err := late.daemon.Get(h.ctx, "/api/v1/events"); err != nil || status != 200 || strings.Count(text, `"conflict"`) != 2 {
		t.Errorf("the events: %v, %d %s", err, status, text)
	}
	if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
	late.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
}

// sleepBeforeBoth puts the machine to sleep for two daemons. The first claims it earlier,
// because the second one gets one more answer.
func sleepBeforeBoth(h *harness, nas *lab.Machine, late *harness) {
	h.Helper()
	h.register(nas.Host, nasRegistration(nas))
	late.register(nas.Host, nasRegistration(nas))
	h.must(nas.Sleep(h.ctx))
	time.Sleep(time.Second)
	question, err := lan.NeighborProbe(late.daemon.Host().MAC(), nas.MAC(), late.daemon.Host().Addr4(), nas4)
	h.must(err)
	var p lan.Packet
	if v := p.Parse(question); v != lan.Accepted {
		h.Fatalf("a question that is %v", v)
	}
	answer, err := lan.AnswerTo(&p, nas.MAC(), nas.MAC())
	h.must(err)
	h.must(h.lan.Client().SendFrame(answer))
	h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	late.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	for _, ip := range []netip.Addr{nas4, nas6} {
		waitAddressEvent(late, 0, "conflict", ip)
	}
}

// TestFaultPorterTakesOver: the porter that has the addresses is killed. The other rechecks,
// and claims them.
func TestFaultPorterTakesOver(t *testing.T) {
	h := open(t, "probe: {interval: 60ms, misses: 2}\n")
	nas := h.addNAS(nil)
	late := startSecondPorter(h, fastRecheck)
	sleepBeforeBoth(h, nas, late)
	n := late.daemon.Log.Len()
	h.daemon.Kill()
	began := time.Now()
	for _, ip := range []netip.Addr{nas4, nas6} {
		waitAddressEvent(late, n, isOver, ip)
	}
	t.Logf("taken over after %v", time.Since(began).Round(time.Millisecond))
	if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
	late.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
	if happened(nas, lab.DADFailed) {
		t.Error("duplicate address detection failed")
	}
}

// TestFaultPortersYieldToEachOther: both porters have conceded the addresses, as after claims
// in the same instant. Soon one of them claims them again.
func TestFaultPortersYieldToEachOther(t *testing.T) {
	h := open(t, fastRecheck)
	nas := h.addNAS(nil)
	late := startSecondPorter(h, "probe: {interval: 120ms, misses: 3}\n")
	sleepBeforeBoth(h, nas, late)
	foreign := ether.MAC{2, 0x77, 0, 0, 0, 0x99}
	both := []*harness{h, late}
	after := []int{h.daemon.Log.Len(), late.daemon.Log.Len()}
	for ip, from := range map[netip.Addr]netip.Addr{nas4: {}, nas6: h.lan.Client().Addr6()} {
		frames, err := lan.Announcement(foreign, ether.Broadcast, foreign, ip, from, netip.Addr{})
		h.must(err)
		h.must(h.lan.Client().SendFrame(frames[0]))
		waitAddressEvent(h, after[0], "conflict", ip)
	}
	capture, err := h.lan.CapturePort(h.ctx, h.lan.Client())
	h.must(err)
	defer capture.Close()
	for _, ip := range []netip.Addr{nas4, nas6} {
		winner := firstToSay(both, after, isOver, ip)
		if macs := whoAnswers(h, capture, ip); len(macs) != 1 || macs[0] != winner {
			t.Errorf("%v is answered for by %v, want only %v", ip, macs, winner)
		}
	}
	if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
}

// firstToSay returns the MAC of the porter that is the first to log an event of an address.
func firstToSay(harnesses []*harness, after []int, event string, ip netip.Addr) ether.MAC {
	harnesses[0].Helper()
	said := make(chan ether.MAC, len(harnesses))
	ctx := harnesses[0].within(10 * time.Second)
	for i, h := range harnesses {
		go func() {
			_, err := h.daemon.Log.Wait(ctx, after[i], func(e labdaemon.Entry) bool { return e.Field("event") == event && e.Field("ip") == ip.String() })
			if err == nil {
				said <- h.daemon.Host().MAC()
			}
		}()
	}
	select {
	case mac := <-said:
		return mac
	case <-ctx.Done():
		harnesses[0].Fatalf("no porter claims %v", ip)
		return ether.MAC{}
	}
}
