package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
)

// TestAttackPinsOnTheWire: a host registers its own machine, wakes it with SYNs from 64
// invented MACs, and never opens its port. Meanwhile that machine announces its address in up
// to 3,000 frames a second. The frames that the porter sends to other hosts stay below a bound,
// and a wake of another machine is not delayed.
func TestAttackPinsOnTheWire(t *testing.T) {
	onlyVariants(t)
	h := openFor(t, fastProbe, 3*time.Minute)
	own := h.addNAS(func(c *lab.MachineConfig) { c.Services[0].Delay = 10 * time.Minute })
	attacker := h.addClient("attacker", 66)
	h.putToSleep(own)
	wire := h.capturePort(h.lan.Porter())
	n := h.daemon.Log.Len()
	for i := range 64 {
		src := ether.MAC{6, 0, 0, 0, 1, byte(i)}
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(100 + i)}), 40000)
		h.must(attacker.SendFrame(lantest.SegmentFrame(src, h.lan.Porter().MAC(), from, netip.AddrPortFrom(nas4, 22), flagSYN)))
	}
	h.waitMove(n, "nas", "waking", "arriving", "")
	const lasts = 8 * time.Second
	for _, rate := range []int{0, 10, 200, 3000} {
		var flood *lab.Flood
		if rate > 0 {
			frame, err := lan.NeighborProbe(own.MAC(), ether.Broadcast, nas4, netip.MustParseAddr("10.77.0.99"))
			h.must(err)
			flood, err = own.Host.Flood(rate, func([]byte) []byte { return frame })
			h.must(err)
		}
		began, used := time.Now(), processorTime(h)
		var served pending
		if rate == 3000 {
			served = wakeAnother(h)
		}
		sleepUntil(began, lasts)
		took := time.Since(began)
		all, others := 0, 0
		for _, f := range wire.Frames() {
			if f.Src() == h.lan.Porter().MAC() && f.Time.After(began) && f.Time.Before(began.Add(took)) {
				if all++; f.Dst() != own.MAC() {
					others++
				}
			}
		}
		per := func(n int) float64 { return float64(n) / took.Seconds() }
		t.Logf("%d frames a second in: %.0f out, of these %.0f to others; %.0f %% of a core", rate, per(all), per(others),
			100*(processorTime(h)-used).Seconds()/took.Seconds())
		if most := 54.0; rate < 3000 && per(others) > most { // at 3000 another machine wakes as well
			t.Errorf("%.0f frames a second to others, want %v at most", per(others), most)
		}
		if per(all) > 250 {
			t.Errorf("%.0f frames a second in all", per(all))
		}
		if served != nil {
			got := <-served
			h.must(got.error)
			got.conn.Close()
		}
		if flood != nil {
			h.must(flood.Stop())
		}
	}
	h.wantMetric(1, `nightporter_machine_state{machine="nas", state="arriving"}`)
}

// TestAttackOneSYNOnTheWire: a host sends one forged SYN for a machine that does not wake. The
// porter sends few frames for it, over both families.
func TestAttackOneSYNOnTheWire(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := open(t, fastProbe)
			nas := h.addNAS(func(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll })
			attacker, porter := h.addClient("attacker", 66), h.lan.Porter()
			h.putToSleep(nas)
			wire := h.capturePort(porter)
			const lasts = 7 * time.Second
			began := time.Now()
			frame, err := lan.SYNProbe(ether.MAC{6, 0, 0, 0, 1, 1}, porter.MAC(), netip.AddrPortFrom(clientAddr(attacker, ip), 40000), netip.AddrPortFrom(ip, 22), 1)
			h.must(err)
			h.must(attacker.SendFrame(frame))
			h.waitEvent(nas, lab.MagicPacket)
			sleepUntil(began, lasts)
			n := 0
			for _, f := range wire.Frames() {
				if f.Src() == porter.MAC() && f.Time.After(began) && f.Time.Before(began.Add(lasts)) {
					n++
				}
			}
			t.Logf("%d frames in %v", n, lasts)
			if n > 450 {
				t.Errorf("%d frames in %v for one SYN, want 450 at most", n, lasts)
			}
			h.wantMetric(1, `nightporter_machine_state{machine="nas", state="waking"}`)
		})
	}
}

// wakeAnother lets a client connect to another machine that sleeps, and expects that it is
// connected as soon as its service is up.
func wakeAnother(h *harness) pending {
	h.Helper()
	ip := netip.MustParseAddr("10.77.0.31")
	tv, err := h.lan.AddMachine(lab.MachineConfig{Name: "tv", Addrs: []netip.Prefix{netip.PrefixFrom(ip, 24)},
		Boot: 450 * time.Millisecond, Announce: true, Services: []lab.ServiceConfig{{Network: "tcp", Port: 22, Delay: 700 * time.Millisecond}}})
	h.must(err)
	n := h.daemon.Log.Len()
	h.register(tv.Host, registration("tv", tv.MAC(), monitored{ip, []any{22}}))
	h.must(tv.Sleep(h.ctx))
	h.waitMove(n, "tv", "settling", "asleep", "")
	result := make(pending, 1)
	waits := h.callLater(h.lan.Client(), ip, 22)
	go func() {
		got := <-waits
		if got.error == nil {
			if late := got.ended.Sub(lastUp(tv, got.to)); late > 100*time.Millisecond {
				got.error = fmt.Errorf("connected %v after the service was up", late)
			}
		}
		result <- got
	}()
	return result
}
