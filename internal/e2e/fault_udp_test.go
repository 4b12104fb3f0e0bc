package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// ration is the longest pause between two probes of a UDP service.
const ration = 1100 * time.Millisecond

// udpServer is a program that echoes datagrams.
type udpServer struct {
	name    string
	command func(t *testing.T, ip netip.Addr) *lab.Command
	once    bool // it ends after one
}

// socat returns a command of socat for one kind of its addresses.
func socat(mode, options string) func(*testing.T, netip.Addr) *lab.Command {
	return func(t *testing.T, ip netip.Addr) *lab.Command {
		family := "4"
		if ip.Is6() {
			family = "6"
		}
		return &lab.Command{Args: []string{installed(t, "socat"), "UDP" + family + "-" + mode + ":27015" + options, "EXEC:cat"}}
	}
}

var udpServers = []udpServer{
	{"socat UDP-LISTEN", socat("LISTEN", ""), false},
	{"socat UDP-RECVFROM", socat("RECVFROM", ""), true},
	{"socat UDP-RECVFROM,fork", socat("RECVFROM", ",fork"), false},
	{"a server that ends with an empty datagram", func(_ *testing.T, ip netip.Addr) *lab.Command {
		return serverCommand("udp-until-empty", netip.AddrPortFrom(ip, 27015).String())
	}, false},
}

// playing configures a machine whose game is a program that takes a while to start.
func playing(command *lab.Command, ip netip.Addr) func(*lab.MachineConfig) {
	return func(c *lab.MachineConfig) {
		c.Announce = true
		c.Services[1] = lab.ServiceConfig{Addr: ip, Network: "udp", Port: 27015, Delay: 1450 * time.Millisecond, Command: command}
	}
}

// datagramsIn returns the datagrams for ip's game that a host received, also without a program,
// and their payloads.
func datagramsIn(c *lab.Capture, ip netip.Addr) (all []lan.Packet, texts []string) {
	for _, f := range c.Frames() {
		var p lan.Packet
		if !f.Outgoing && p.Parse(slices.Clone(f.Data)) == lan.Accepted && p.Kind == lan.UDP && p.To == ip && p.ToPort == 27015 {
			all = append(all, p)
			texts = append(texts, string(p.Frame[p.Transport+8:][:p.Payload]))
		}
	}
	return all, texts
}

// TestFieldUDPServices: some programs end with an empty datagram, or receive nothing after it.
// The first datagram that they get is the client's, and it is answered.
func TestFieldUDPServices(t *testing.T) {
	t.Parallel()
	for _, server := range udpServers {
		for _, way := range knownBy {
			for _, ip := range []netip.Addr{nas4, nas6} {
				t.Run(server.name+"/"+way.name+"/"+ip.String(), func(t *testing.T) {
					variantUnless(t, way.name == "registered" && ip == nas4 || way.name == "bind" && ip == nas6 || way.agentless && ip == nas4 && server.once)
					s := openMachine(t, fieldProbe+way.conf, way.agentless, playing(server.command(t, ip), ip))
					s.wantDatagramsServed(ip, server.once)
				})
			}
		}
	}
}

// wantDatagramsServed lets nas sleep, and lets a client with a connected socket wake it by a
// datagram.
func (s *machineTest) wantDatagramsServed(ip netip.Addr, once bool) {
	s.Helper()
	s.sleepClaimed()
	client := s.lan.Client()
	atMachine, atClient := s.capturePort(s.nas.Host), s.capturePort(client)
	n := s.daemon.Log.Len()
	game := dialGame(s.harness, client, ip)
	sendDatagrams(s.harness, game, "one")
	wantDatagram(s.harness, game, "one")
	answered := time.Now()
	var up lab.Event
	for up.Service.Network != "udp" || up.Service.Addr != ip {
		up = s.waitEvent(s.nas, lab.ServiceUp)
	}
	if late := answered.Sub(up.Time); late > ration+slack {
		s.Errorf("answered %v after the program was started", late)
	}
	s.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	if !once { // it is there still
		sendDatagrams(s.harness, game, "two")
		wantDatagram(s.harness, game, "two")
	}
	wantOnlyClientDatagrams(s.harness, atMachine, ip)
	for _, f := range atClient.Frames() {
		if what := complaint(f); what != "" {
			s.Errorf("the client received %s: %v", what, f)
		}
	}
	s.waitNeighbor(s.nas.Host, clientIn(client, ip), client.MAC())
}

// clientIn returns a host's address of the family of ip.
func clientIn(host *lab.Host, ip netip.Addr) netip.Addr {
	if ip.Is6() {
		return host.Addr6()
	}
	return host.Addr4()
}

// wantOnlyClientDatagrams expects that the game received the client's datagrams and no others.
func wantOnlyClientDatagrams(h *harness, c *lab.Capture, ip netip.Addr) {
	h.Helper()
	all, texts := datagramsIn(c, ip)
	taken := 0
	for i, p := range all {
		if p.From != clientIn(h.lan.Client(), ip) || texts[i] == "" {
			h.Errorf("the game got %q from %v", texts[i], p.From)
		}
		if texts[i] == "one" {
			taken++
		}
	}
	if taken == 0 || taken > 16 {
		h.Errorf("the first datagram came %d times", taken)
	}
	h.Logf("the first datagram was sent %d times", taken)
}

// TestFieldUDPInOrder: the service gets the held datagrams of both clients, each once and in
// order.
func TestFieldUDPInOrder(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(mode.name+"/"+ip.String(), func(t *testing.T) {
				h := openFor(t, fieldProbe+mode.conf, 2*time.Minute)
				nas := h.addNAS(func(c *lab.MachineConfig) { c.Services[1].Delay = 2450 * time.Millisecond })
				second, err := h.lan.AddHost("second", netip.MustParsePrefix("10.77.0.11/24"), netip.MustParsePrefix("fd77::11/64"))
				h.must(err)
				h.putToSleep(nas)
				atClients := []*lab.Capture{h.capturePort(h.lan.Client()), h.capturePort(second)}
				one, two := dialGame(h, h.lan.Client(), ip), dialGame(h, second, ip)
				atPorter := h.capturePort(h.lan.Porter())
				var want []string
				for i := range 6 {
					conn := []net.Conn{one, two}[i%2]
					text := fmt.Sprint(i)
					sendDatagrams(h, conn, text)
					_, err := atPorter.Wait(h.within(5*time.Second), isDatagram(ip, text))
					h.must(err)
					want = append(want, text)
				}
				waitDatagram(h, nas, "5")
				if got := datagrams(nas); !slices.Equal(got, want) {
					t.Errorf("the game got %q, want %q", got, want)
				}
				wantDatagram(h, one, lab.DatagramReply("nas", 1, []byte("0")))
				wantDatagram(h, two, lab.DatagramReply("nas", 2, []byte("1")))
				for _, c := range atClients {
					for _, f := range c.Frames() {
						if what := complaint(f); what != "" {
							t.Errorf("a client received %s: %v", what, f)
						}
					}
				}
				h.wantMetric(6, `nightporter_held_packets_total{machine="nas"}`)
				h.wantMetric(6, `nightporter_replayed_packets_total{machine="nas"}`)
				h.wantMetric(0, `nightporter_held_packets_dropped_total{machine="nas"}`)
			})
		}
	}
}

// TestFieldUDPOtherTraffic: while the porter replays a client's datagram, it forwards what the
// machine sends to the client, each packet once.
func TestFieldUDPOtherTraffic(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := openFor(t, fieldProbe, 2*time.Minute)
			nas := h.addNAS(func(c *lab.MachineConfig) {
				c.Services[1].Delay = 4450 * time.Millisecond
				c.Services = append(c.Services, lab.ServiceConfig{Network: "tcp", Port: 80})
			})
			h.putToSleep(nas)
			client := h.lan.Client()
			sendDatagrams(h, dialGame(h, client, ip), "one")
			for up := (lab.Event{}); up.Service.Port != 80 || up.Service.Addr != ip; {
				up = h.waitEvent(nas, lab.ServiceUp)
			}
			h.waitNeighbor(nas.Host, clientIn(client, ip), h.lan.Porter().MAC())
			c, err := callOnce(h.within(10*time.Second), client, netip.AddrPortFrom(ip, 80)) // a port that is not registered
			h.must(err)
			wantEcho(h, c.conn, 1<<20)
			if got, _, _, err := nas.Neighbor(clientIn(client, ip)); err != nil || got != h.lan.Porter().MAC() {
				t.Errorf("the machine has the client at %v, error %v: the test checks nothing", got, err)
			}
			waitDatagram(h, nas, "one")
			h.waitNeighbor(nas.Host, clientIn(client, ip), client.MAC())
			wantEcho(h, c.conn, 1<<20)
			h.must(c.conn.Close())
		})
	}
}

// TestFieldUDPGivenUp: the client gets the machine's own refusal after hold.ready_timeout, and
// not before.
func TestFieldUDPGivenUp(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := openFor(t, fieldProbe+"hold: {ready_timeout: 2500ms}\n", 2*time.Minute)
			nas := h.addNAS(nil)
			h.register(nas.Host, registration("nas", nas.MAC(), monitored{ip, []any{"27016/udp"}}))
			n := h.daemon.Log.Len()
			h.must(nas.Sleep(h.ctx))
			h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
			client := h.lan.Client()
			conn, err := client.Dial(h.ctx, "udp", netip.AddrPortFrom(ip, 27016).String())
			h.must(err)
			defer conn.Close()
			atClient := h.capturePort(client)
			sendDatagrams(h, conn, "one")
			over := h.waitMove(n, "nas", "arriving", "awake", machine.WhyNotReady)
			refusal, err := atClient.Wait(h.within(20*time.Second), func(f lab.Frame) bool { return complaint(f) != "" })
			h.must(err)
			if early := over.Time.Sub(refusal.Time); early > 100*time.Millisecond {
				t.Errorf("the client was refused %v before the porter gave up", early)
			}
			h.must(conn.SetReadDeadline(time.Now().Add(5 * time.Second)))
			if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the client read with the error %v, want a refusal", err)
			}
			h.waitNeighbor(nas.Host, clientIn(client, ip), client.MAC())
		})
	}
}

// forwarders are configurations of a porter's host that forwards.
var forwarders = []struct {
	name, conf string
	walled     bool // their firewall forwards nothing, as Docker's does
}{
	{"open", "", false},
	{"walled", "", true},
	{"walled/bind", "claim: {mode: bind}\n", true},
}
