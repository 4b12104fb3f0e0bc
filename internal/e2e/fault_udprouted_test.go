package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// TestFieldUDPForwardingPorter: on a host that forwards, the porter or its kernel forwards each
// packet for the client once, also where the firewall forwards nothing.
func TestFieldUDPForwardingPorter(t *testing.T) {
	t.Parallel()
	for _, forwarder := range forwarders {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(forwarder.name+"/"+ip.String(), func(t *testing.T) {
				h := openFor(t, fieldProbe+forwarder.conf, 2*time.Minute)
				forward(t, h.lan.Porter())
				if forwarder.walled {
					dropForwarded(h)
				}
				nas := h.addNAS(func(c *lab.MachineConfig) { c.Services[1].Delay = 1450 * time.Millisecond })
				h.putToSleep(nas)
				client := h.lan.Client()
				atClient := h.capturePort(client)
				game := dialGame(h, client, ip)
				sendDatagrams(h, game, "one")
				one, two := lab.DatagramReply("nas", 1, []byte("one")), lab.DatagramReply("nas", 2, []byte("two"))
				wantDatagram(h, game, one)
				h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
				h.waitNeighbor(nas.Host, clientIn(client, ip), client.MAC())
				sendDatagrams(h, game, "two")
				wantDatagram(h, game, two)
				wantOnce(h, atClient, one, two)
				for _, f := range atClient.Frames() {
					if complaint(f) == "unreachable" {
						t.Errorf("the client received a port unreachable: %v", f)
					}
				}
			})
		}
	}
}

// wantOnce expects that a host got a text once before a later one.
func wantOnce(h *harness, c *lab.Capture, text, later string) {
	h.Helper()
	_, err := c.Wait(h.within(5*time.Second), func(f lab.Frame) bool { return !f.Outgoing && bytes.Contains(f.Data, []byte(later)) })
	h.must(err)
	came := 0
	for _, f := range c.Frames() {
		if !f.Outgoing && bytes.Contains(f.Data, []byte(text)) {
			came++
		}
	}
	if came != 1 {
		h.Errorf("%q came %d times", text, came)
	}
}

// TestFieldUDPForwardingWithoutGuard: a kernel that forwards without a guard forwards the
// packets for the client alone. It forwards the refusals too, which an unconnected socket does
// not receive.
func TestFieldUDPForwardingWithoutGuard(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := openFor(t, fieldProbe+"claim: {guard: off}\n", 2*time.Minute)
			forward(t, h.lan.Porter())
			nas := h.addNAS(func(c *lab.MachineConfig) { c.Services[1].Delay = 1450 * time.Millisecond })
			h.putToSleep(nas)
			client := h.lan.Client()
			atClient := h.capturePort(client)
			game, err := client.ListenPacket(h.ctx, "udp", netip.AddrPortFrom(clientIn(client, ip), 0).String())
			h.must(err)
			defer game.Close()
			to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 27015))
			answers := []string{lab.DatagramReply("nas", 1, []byte("one")), lab.DatagramReply("nas", 2, []byte("two"))}
			for i, want := range answers {
				_, err := game.WriteTo([]byte([]string{"one", "two"}[i]), to)
				h.must(err)
				h.must(game.SetReadDeadline(time.Now().Add(20 * time.Second)))
				reply := make([]byte, 100)
				n, _, err := game.ReadFrom(reply)
				if err != nil || string(reply[:n]) != want {
					t.Errorf("the answer is %q, error %v, want %q", reply[:n], err, want)
				}
				if i == 0 {
					h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
					h.waitNeighbor(nas.Host, clientIn(client, ip), client.MAC())
				}
			}
			wantOnce(h, atClient, answers[0], answers[1])
		})
	}
}

// TestFieldUDPBehindTheRouter: the porter does not see the machine's refusals to a client
// behind a router. A waiting neighbor of the porter makes both known; a client alone needs a
// delay.
func TestFieldUDPBehindTheRouter(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		for _, alone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/alone=%t", ip, alone), func(t *testing.T) {
				h := openFor(t, fieldProbe, 2*time.Minute)
				nas := h.addNAS(func(c *lab.MachineConfig) { c.Services[1].Delay = 2450 * time.Millisecond })
				port := any("27015/udp")
				if alone {
					port = service{"27015/udp", "delay:6s"}
				}
				n := h.daemon.Log.Len()
				h.register(nas.Host, registration("nas", nas.MAC(), monitored{ip, []any{port}}))
				h.must(nas.Sleep(h.ctx))
				h.waitState(20*time.Second, n, "nas", "asleep")
				atPorter := h.capturePort(h.lan.Porter())
				far := dialGame(h, h.lan.Outside(), ip)
				sendDatagrams(h, far, "far")
				_, err := atPorter.Wait(h.within(5*time.Second), isDatagram(ip, "far"))
				h.must(err)
				want := []string{"far"}
				if !alone {
					near := dialGame(h, h.lan.Client(), ip)
					sendDatagrams(h, near, "near")
					wantDatagram(h, near, lab.DatagramReply("nas", 1, []byte("near")))
					want = []string{"near", "far"}
				}
				wantDatagram(h, far, lab.DatagramReply("nas", len(want), []byte("far")))
				if got := datagrams(nas); !slices.Equal(got, want) {
					t.Errorf("the game got %q, want %q", got, want)
				}
			})
		}
	}
}
