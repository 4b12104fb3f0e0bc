package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// pollService is a health check: it connects each second from a new port, with a timeout of a
// second.
func pollService(ctx context.Context, from *lab.Host, ip netip.Addr) {
	for ctx.Err() == nil {
		again, cancel := context.WithTimeout(ctx, time.Second)
		if conn, err := from.Dial(again, "tcp", netip.AddrPortFrom(ip, 22).String()); err == nil {
			conn.Close()
		}
		<-again.Done()
		cancel()
	}
}

// startPollers starts health checks of several hosts.
func startPollers(h *harness, ip netip.Addr, hosts ...*lab.Host) {
	for i, host := range hosts {
		go func() {
			time.Sleep(time.Duration(i) * 130 * time.Millisecond) // at different times
			pollService(h.ctx, host, ip)
		}()
	}
}

// TestFieldPoller: a health check gives up each second while the machine boots. Its packets
// have no value any more. A later client is served as if there had been none.
func TestFieldPoller(t *testing.T) {
	t.Parallel()
	// The machine is ready 13.6 s after the first check and 4.6 s after the client.
	brief := pollCase{conf: "hold: {packets: 8}\n", boot: 11100 * time.Millisecond, person: 9 * time.Second}
	long := pollCase{boot: 70100 * time.Millisecond, person: 68 * time.Second} // the default of hold.packets is 64
	for _, ip := range []netip.Addr{nas4, nas6} {
		for _, announce := range []bool{false, true} {
			for _, who := range []string{"the same host", "another host", "a host behind the router", "three hosts"} {
				t.Run(fmt.Sprintf("%v/announce=%t/%s", ip, announce, who), func(t *testing.T) {
					variantUnless(t, announce == (ip == nas4) && (who == "the same host" || who == "three hosts"))
					brief.run(t, settings[0], ip, announce, who)
				})
			}
		}
		t.Run(fmt.Sprintf("%v/default size", ip), func(t *testing.T) {
			variantUnless(t, ip == nas4)
			long.run(t, settings[0], ip, ip == nas4, "another host")
		})
	}
	for _, in := range settings[1:] {
		t.Run(in.name, func(t *testing.T) {
			variantUnless(t, false)
			brief.run(t, in, nas4, true, "another host")
		})
	}
}

type pollCase struct {
	conf   string
	boot   time.Duration // 2.5 s before the service: one of address tests, the rest of the service
	person time.Duration // when the client connects, after the first check
}

func (c pollCase) run(t *testing.T, in setting, ip netip.Addr, announce bool, who string) {
	s := openMachineIn(t, in, fieldProbe+c.conf, func(m *lab.MachineConfig) {
		m.Boot, m.Announce = c.boot, announce
		m.Services[0].Delay = 1500 * time.Millisecond
	})
	client := s.lan.Client()
	pollers := []*lab.Host{client}
	switch who {
	case "another host":
		pollers = []*lab.Host{s.addClient("poller", 40)}
	case "a host behind the router":
		pollers = []*lab.Host{s.lan.Outside()}
	case "three hosts":
		pollers = []*lab.Host{s.addClient("poller1", 41), s.addClient("poller2", 42), s.addClient("poller3", 43)}
	}
	s.sleepClaimed()
	n := s.daemon.Log.Len()
	began := time.Now()
	startPollers(s.harness, ip, pollers...)
	s.waitState(5*time.Second, n, "nas", "waking")
	sleepUntil(began, c.person)
	s.wantAtOnce("the person", s.callLater(client, ip, 22))
	s.wantWokenOnce()
}
