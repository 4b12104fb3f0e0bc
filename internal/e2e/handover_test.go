package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// addSlowNAS adds nas with an SSH service that starts after the network. Boot, duplicate
// address detection and delay should end 0.25 s after a SYN is repeated: on a busy computer they
// end up to 0.7 s later, and still before the next SYN.
func addSlowNAS(h *harness, delay time.Duration, more ...lab.ServiceConfig) *lab.Machine {
	h.Helper()
	return h.addNAS(slowSSH(delay, more...))
}

// slowSSH configures a machine that announces itself while its service is still starting.
func slowSSH(delay time.Duration, more ...lab.ServiceConfig) func(*lab.MachineConfig) {
	return func(c *lab.MachineConfig) {
		c.Announce = true
		c.Services = append([]lab.ServiceConfig{{Network: "tcp", Port: 22, Delay: delay}, {Network: "udp", Port: 27015}}, more...)
	}
}

// TestClientBehindTheRouterIsHandedOver: the packets of a client behind the router have the
// router's MAC. The router keeps sending them to the porter for a while.
func TestClientBehindTheRouterIsHandedOver(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := open(t, fastProbe)
			nas := addSlowNAS(h, 800*time.Millisecond)
			h.putToSleep(nas)
			atRouter, atMachine := h.capturePort(h.lan.Router()), h.capturePort(nas.Host)
			c := h.call(h.lan.Outside(), nas, ip, 22)
			s, err := readServed(h.ctx, h, c, atRouter, atMachine)
			h.must(err)
			if err := s.replayed(h.lan.Porter()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestManyClientsAtOnce: all clients that knocked are served by one wake.
func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			h := open(t, fastProbe+mode.conf)
			nas := addSlowNAS(h, 800*time.Millisecond)
			h.putToSleep(nas)
			atMachine := h.capturePort(nas.Host)
			var calls []pending
			var captures []*lab.Capture
			for i := range 10 {
				client, err := h.lan.AddHost(fmt.Sprint("client", i),
					netip.MustParsePrefix(fmt.Sprintf("10.77.0.%d/24", 100+i)), netip.MustParsePrefix(fmt.Sprintf("fd77::%d/64", 100+i)))
				h.must(err)
				captures = append(captures, h.capturePort(client))
			}
			for i := range captures {
				calls = append(calls, h.callLater(h.lan.Host(fmt.Sprint("client", i)), []netip.Addr{nas4, nas6}[i%2], 22))
			}
			replayed := 0
			for i, p := range calls {
				c := h.waitCall(p, nas)
				s, err := readServed(h.ctx, h, c, captures[i], atMachine)
				h.must(err)
				if err = s.replayed(h.lan.Porter()); err == nil {
					replayed++
				} else {
					t.Logf("client %d: %v", i, err)
				}
			}
			if replayed != len(calls) {
				t.Errorf("%d of %d were served by the replay", replayed, len(calls))
			}
			h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
			h.wantMetric(10, `nightporter_held_packets_total{machine="nas"}`) // a repeated SYN counts once
			h.wantMetric(10, `nightporter_replayed_packets_total{machine="nas"}`)
			h.wantMetric(0, `nightporter_held_packets_dropped_total{machine="nas"}`)
		})
	}
}

// TestOpenPortWhileAnotherStarts: while one service starts, its waiting client and other
// clients can use an open port, registered or not.
func TestOpenPortWhileAnotherStarts(t *testing.T) {
	t.Parallel()
	const delay = 2800 * time.Millisecond
	for _, c := range []struct {
		name  string
		ip    netip.Addr
		ports []any
	}{
		{"ipv4, registered", nas4, []any{"22/tcp", "80/tcp"}},
		{"ipv4, unknown", nas4, []any{"22/tcp"}},
		{"ipv6, registered", nas6, []any{"22/tcp", "80/tcp"}},
		{"ipv6, unknown", nas6, []any{"22/tcp"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, fastProbe)
			nas := addSlowNAS(h, delay, lab.ServiceConfig{Network: "tcp", Port: 80})
			other, err := h.lan.AddHost("other", netip.MustParsePrefix("10.77.0.66/24"), netip.MustParsePrefix("fd77::66/64"))
			h.must(err)
			h.must(sleepRegisteredAs(h.ctx, h, nas, registration("nas", nas.MAC(), monitored{nas4, c.ports}, monitored{nas6, c.ports})))
			client := h.lan.Client()
			atClient, atMachine := h.capturePort(client), h.capturePort(nas.Host)
			waits := h.callLater(client, c.ip, 22)
			up := waitServiceUp(h, nas, netip.AddrPortFrom(c.ip, 80))

			same, another := h.callLater(client, c.ip, 80), h.callLater(other, c.ip, 80)
			own := h.waitCall(same, nas)
			for who, got := range map[string]*call{"the same client": own, "another": h.waitCall(another, nas)} {
				if took := got.ended.Sub(up); took > time.Second {
					t.Errorf("%s was connected %v after its service was up", who, took)
				}
			}
			wantEcho(h, own.conn, 1<<20)
			if took := time.Since(up); took > delay {
				t.Errorf("1 MiB there and back took until %v after the service was up", took)
			}
			late := h.waitCall(waits, nas)
			s, err := readServed(h.ctx, h, late, atClient, atMachine)
			h.must(err)
			if err := s.replayed(h.lan.Porter()); err != nil {
				t.Error(err)
			}
			wantEcho(h, late.conn, 1<<10)
			wantEcho(h, own.conn, 1<<10) // its path has changed
		})
	}
}

// waitServiceUp waits until a service is up, and returns when it was.
func waitServiceUp(h *harness, m *lab.Machine, service netip.AddrPort) time.Time {
	h.Helper()
	for {
		if e := h.waitEvent(m, lab.ServiceUp); e.Service.AddrPort() == service {
			return e.Time
		}
	}
}
