package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// TestDatagrams: datagrams that are sent during the boot all arrive, once each and in order,
// and before later ones.
func TestDatagrams(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		ip    netip.Addr
		delay time.Duration
	}{
		{"ipv4", nas4, 0}, {"ipv4, late service", nas4, 800 * time.Millisecond},
		{"ipv6", nas6, 0}, {"ipv6, late service", nas6, 800 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, fastProbe)
			nas := h.addNAS(func(m *lab.MachineConfig) { m.Services[1].Delay = c.delay })
			h.putToSleep(nas)
			n := h.daemon.Log.Len()
			game := dialGame(h, h.lan.Client(), c.ip)
			sendDatagrams(h, game, "one", "two")
			h.waitEvent(nas, lab.PoweredOn)
			sendDatagrams(h, game, "three", "four", "five")
			waitDatagram(h, nas, "five")
			h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
			sendDatagrams(h, game, "six")
			waitDatagram(h, nas, "six")
			got := datagrams(nas)
			if diff := cmp.Diff([]string{"one", "two", "three", "four", "five", "six"}, got); diff != "" {
				t.Errorf("what arrived (-want +got):\n%s", diff)
			}
			h.wantMetric(5, `nightporter_held_packets_total{machine="nas"}`)
			h.wantMetric(5, `nightporter_replayed_packets_total{machine="nas"}`)
			h.wantMetric(0, `nightporter_held_packets_dropped_total{machine="nas"}`)
			h.must(game.SetReadDeadline(time.Now().Add(5 * time.Second)))
			reply := make([]byte, 100)
			size, err := game.Read(reply)
			h.must(err)
			if want := lab.DatagramReply("nas", 1, []byte("one")); string(reply[:size]) != want {
				t.Errorf("the first answer is %q, want %q", reply[:size], want)
			}
		})
	}
}

// TestDatagramsWhileTheServiceStarts: datagrams that a client sends when the machine is up and
// its service is not are queued behind the held ones.
func TestDatagramsWhileTheServiceStarts(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := open(t, fastProbe)
			nas := h.addNAS(func(m *lab.MachineConfig) {
				m.Announce = true
				m.Services[1].Delay = 1500 * time.Millisecond
			})
			h.putToSleep(nas)
			game := dialGame(h, h.lan.Client(), ip)
			sendDatagrams(h, game, "0")
			want := []string{"0"}
			// From the start of the network to a moment after that of the service.
			h.waitEvent(nas, lab.NetworkUp)
			again := time.NewTicker(50 * time.Millisecond)
			defer again.Stop()
			for i := 1; i <= 40; i++ {
				select {
				case <-again.C:
				case <-h.ctx.Done():
					t.Fatal(h.ctx.Err())
				}
				want = append(want, fmt.Sprint(i))
				sendDatagrams(h, game, fmt.Sprint(i))
			}
			waitDatagram(h, nas, "40")
			got := datagrams(nas)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what arrived (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDatagramInFragments: a fragmented datagram is held and replayed as a whole.
func TestDatagramInFragments(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := open(t, fastProbe)
			nas := h.addNAS(nil)
			h.putToSleep(nas)
			long := strings.Repeat("goodbye ", 500)
			h.must(h.lan.Client().WarmNeighbor(h.within(5*time.Second), ip)) // a packet that waits for the neighbor entry may be overtaken
			sendDatagrams(h, dialGame(h, h.lan.Client(), ip), "hello", long, "the end")
			waitDatagram(h, nas, "the end")
			if got := datagrams(nas); !slices.Equal(got, []string{"hello", long, "the end"}) {
				t.Errorf("%d datagrams arrived: %.100q", len(got), got)
			}
		})
	}
}

// TestTooManyDatagrams: beyond hold.packets the oldest datagrams are dropped, and counted.
func TestTooManyDatagrams(t *testing.T) {
	h := open(t, fastProbe+"hold: {packets: 3}\n")
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	game := dialGame(h, h.lan.Client(), nas4)
	sendDatagrams(h, game, "one", "two", "three", "four", "five")
	waitDatagram(h, nas, "five")
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	if got := datagrams(nas); !slices.Equal(got, []string{"three", "four", "five"}) {
		t.Errorf("%q arrived, want the last three", got)
	}
	h.wantMetric(5, `nightporter_held_packets_total{machine="nas"}`)
	h.wantMetric(3, `nightporter_replayed_packets_total{machine="nas"}`)
	h.wantMetric(2, `nightporter_held_packets_dropped_total{machine="nas"}`)
}

// TestFirstEchoIsAnswered: an echo request is held too, so that the first one is answered.
func TestFirstEchoIsAnswered(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := open(t, fastProbe)
			nas := h.addNAS(nil)
			h.putToSleep(nas)
			client := h.lan.Client()
			capture := h.capturePort(client)
			h.must(client.Ping(h.within(20*time.Second), ip))
			first, err := capture.Wait(h.within(time.Second), func(f lab.Frame) bool {
				var p lan.Packet
				return f.Outgoing && p.Parse(f.Data) == lan.Accepted && p.Kind == lan.EchoRequest && p.To == ip
			})
			h.must(err)
			_, err = capture.Wait(h.within(5*time.Second), func(f lab.Frame) bool { return !f.Outgoing && answersEcho(f.Data, first.Data) })
			if err != nil {
				t.Errorf("the first echo request has no answer: %v", err)
			}
		})
	}
}

// answersEcho reports whether one frame is the echo reply to the other: the addresses swapped,
// the same identifier and number (RFC 792, RFC 4443 section 4.2).
func answersEcho(reply, request []byte) bool {
	var a, q lan.Packet
	if a.Parse(reply) != lan.Accepted || q.Parse(request) != lan.Accepted || a.From != q.To || a.To != q.From {
		return false
	}
	return a.Kind == lan.EchoReply && a.EchoID == q.EchoID && a.EchoSeq == q.EchoSeq
}

// TestTwoUDPServices: two services start late, and each gets its datagram.
func TestTwoUDPServices(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(func(c *lab.MachineConfig) {
		c.Services = []lab.ServiceConfig{{Network: "udp", Port: 27015, Delay: 3 * time.Second}, {Network: "udp", Port: 27016, Delay: 3 * time.Second}}
	})
	client := h.lan.Client()
	n := h.daemon.Log.Len()
	h.register(nas.Host, registration("nas", nas.MAC(), monitored{nas4, []any{"27015/udp", "27016/udp"}}))
	h.must(nas.Sleep(h.ctx))
	h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
	for _, port := range []uint16{27015, 27016} {
		conn, err := client.Dial(h.ctx, "udp", netip.AddrPortFrom(nas4, port).String())
		h.must(err)
		defer conn.Close()
		_, err = conn.Write([]byte("hello"))
		h.must(err)
	}
	e := h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
	t.Log("handed over", e.Field("after"), "after its arrival; the services take 3 s")
	got := map[string]bool{}
	for deadline := time.Now().Add(6 * time.Second); len(got) < 2 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, e := range nas.Log() {
			if e.Kind == lab.Datagram && e.Detail != "" {
				got[e.Service.String()+" "+e.Detail] = true
			}
		}
	}
	for _, s := range []string{"10.77.0.20:27015/udp hello", "10.77.0.20:27016/udp hello"} {
		if !got[s] {
			t.Errorf("lost: %q; got %v", s, got)
		}
	}
}
