package e2e

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// impossible is a packet that no kernel accepts, with the reason of its refusal.
type impossible struct {
	name   string
	reason lan.Refusal
	frame  []byte
}

// attackPort is the source port of the attackers' packets.
const attackPort = 1234

// impossiblePackets returns SYNs and a ping for both addresses of nas, in frames of another
// host.
func impossiblePackets(h *harness, by ether.MAC) (all []impossible) {
	porter := h.lan.Porter()
	four := func(name string, reason lan.Refusal, from string, change func(ip []byte) []byte) {
		source := netip.AddrPortFrom(netip.MustParseAddr(from), attackPort)
		frame := lantest.SegmentFrame(by, porter.MAC(), source, netip.AddrPortFrom(nas4, 22), flagSYN)
		if change != nil {
			frame = append(frame[:14:14], change(slices.Clone(frame[14:]))...)
		}
		all = append(all, impossible{name, reason, frame})
	}
	six := func(name string, reason lan.Refusal, from string, hops byte, headers ...byte) {
		all = append(all, impossible{name, reason, syn6(by, porter.MAC(), netip.MustParseAddr(from), hops, headers)})
	}
	for name, from := range map[string]string{
		"loopback": "127.0.0.1", "unspecified": "0.0.0.0", "broadcast": "255.255.255.255", "multicast": "224.0.0.1",
		"directed broadcast": "10.77.0.255", "class E": "240.1.2.3",
	} {
		four(name, lan.BadSource, from, nil)
	}
	four("the address itself", lan.OwnSource, nas4.String(), nil)
	four("the porter", lan.OwnSource, porter.Addr4().String(), nil)
	four("ttl 0", lan.NoHops, "10.77.0.66", func(ip []byte) []byte { ip[8] = 0; return summed(ip) })
	four("a loose source route", lan.SourceRoute, "10.77.0.66", withOptions(131, 7, 4, 10, 77, 0, 1, 0))
	four("a strict source route", lan.SourceRoute, "10.77.0.66", withOptions(137, 7, 4, 10, 77, 0, 1, 0))
	four("broken options", lan.BadOptions, "10.77.0.66", withOptions(7, 40, 4, 0))
	four("a damaged header", lan.BadChecksum, "10.77.0.66", func(ip []byte) []byte { ip[10] ^= 1; return ip })
	four("a ping by all", lan.BadSource, "10.77.0.255", func(ip []byte) []byte {
		ip[9] = 1
		copy(ip[20:], []byte{8, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		return summed(ip)
	})
	for name, from := range map[string]string{"loopback, IPv6": "::1", "unspecified, IPv6": "::", "all nodes": "ff02::1", "mapped": "::ffff:10.77.0.66"} {
		six(name, lan.BadSource, from, 64)
	}
	six("the IPv6 address itself", lan.OwnSource, nas6.String(), 64)
	six("the porter, IPv6", lan.OwnSource, porter.Addr6().String(), 64)
	six("hop limit 0", lan.NoHops, "fd77::66", 0)
	six("a routing header of type 0", lan.SourceRoute, "fd77::66", 64, slices.Concat([]byte{6, 2, 0, 1, 0, 0, 0, 0}, netip.MustParseAddr("fd77::1").AsSlice())...)
	return all
}

// syn6 returns a SYN for nas6 behind extension headers. The first of them, if there are any, is
// a routing header.
func syn6(src, dst ether.MAC, from netip.Addr, hops byte, headers []byte) []byte {
	next := byte(6)
	if len(headers) > 0 {
		next = 43
	}
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, attackPort)
	tcp[3], tcp[12], tcp[13] = 22, 5<<4, flagSYN
	return lantest.IPv6Frame(src, dst, from, nas6, next, hops, headers, tcp)
}

// summed sets the checksum of the header of an IPv4 packet.
func summed(ip []byte) []byte {
	lantest.SetHeaderSum(ip)
	return ip
}

// withOptions inserts options into an IPv4 packet. Their length is a multiple of four bytes.
func withOptions(options ...byte) func(ip []byte) []byte {
	return func(ip []byte) []byte {
		ip[0] += byte(len(options) / 4)
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(options)))
		return summed(slices.Insert(ip, 20, options...))
	}
}

// TestAttackImpossiblePackets: a host sends packets for a machine that no kernel would accept:
// from addresses that no client can have, from the machine's or the porter's own address, with
// hop limit 0, with a source route, or damaged. While the machine sleeps, arrives and is awake,
// they neither wake it nor reach it, and a client is served.
func TestAttackImpossiblePackets(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{fastProbe, fastProbe + "claim: {mode: bind}\n", fastProbe + "wake: {local: true}\n"} {
		t.Run(conf[len(fastProbe):], func(t *testing.T) {
			h := open(t, conf)
			nas := addSlowNAS(h, 1500*time.Millisecond)
			attacker := h.addClient("attacker", 66)
			wire, atPorter := h.capturePort(nas.Host), h.capturePort(h.lan.Porter())
			all := impossiblePackets(h, attacker.MAC())
			sent := 0
			send := func() {
				h.Helper()
				for _, p := range all {
					h.must(attacker.SendFrame(p.frame))
				}
				sent++
				last := all[len(all)-1].reason
				waitRejected(h, last, count(all, last, sent))
			}

			h.putToSleep(nas)
			n := h.daemon.Log.Len()
			send()
			h.wantMetric(1, `nightporter_machine_state{machine="nas", state="asleep"}`)
			served := h.callLater(h.lan.Client(), nas4, 22)
			e := h.waitMove(n, "nas", "", "waking", "")
			if source, _, _ := cutKnock(e.Field("knock")); source.Addr() != h.lan.Client().Addr4() {
				t.Errorf("woken by %q", e.Field("knock"))
			}
			h.waitEvent(nas, lab.NetworkUp)
			h.waitMove(n, "nas", "waking", "arriving", "")
			send()
			h.waitCall(served, nas)
			h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
			send()
			for _, p := range all {
				waitRejected(h, p.reason, count(all, p.reason, sent))
			}
			h.call(h.lan.Client(), nas, nas6, 22)
			h.wantMetric(1, `nightporter_held_packets_total{machine="nas"}`)
			if got := attacks(atPorter); got != sent*len(all) {
				t.Errorf("%d of %d packets reached the porter", got, sent*len(all))
			}
			if got := attacks(wire); got > 0 {
				t.Errorf("%d packets were sent on to the machine", got)
			}
		})
	}
}

// waitRejected waits until the porter has refused that many packets for a reason.
func waitRejected(h *harness, reason lan.Refusal, want int) {
	h.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := h.metric(`nightporter_frames_rejected_total{interface="eth0", reason=%q}`, reason)
		if got == float64(want) {
			return
		}
		if time.Now().After(deadline) {
			h.Errorf("%v packets refused as %v, want %d", got, reason, want)
			return
		}
	}
}

func count(all []impossible, reason lan.Refusal, times int) (n int) {
	for _, p := range all {
		if p.reason == reason {
			n += times
		}
	}
	return n
}

// attacks counts the captured packets of attackers, including pings from the broadcast address.
func attacks(c *lab.Capture) (n int) {
	for _, f := range c.Frames() {
		var p lan.Packet
		if p.Parse(f.Data) == lan.Accepted && (p.FromPort == attackPort || p.Kind == lan.EchoRequest && p.From == netip.AddrFrom4([4]byte{10, 77, 0, 255})) {
			n++
		}
	}
	return n
}

// TestAttackFramesOfOtherNetworks: SYNs in frames of a VLAN, to groups and to other hosts do
// not wake. A frame with priority tags belongs to the network without a VLAN (IEEE 802.1Q, VID
// 0), for any number of tags.
func TestAttackFramesOfOtherNetworks(t *testing.T) {
	t.Parallel()
	for tags := 1; tags <= 2; tags++ {
		t.Run(fmt.Sprint(tags, " priority tags"), func(t *testing.T) {
			h := open(t, fastProbe)
			nas := h.addNAS(nil)
			client, porter := h.lan.Client(), h.lan.Porter()
			h.putToSleep(nas)
			n := h.daemon.Log.Len()
			knock := func(src, dst ether.MAC, port uint16, ids ...byte) {
				frame := lantest.SegmentFrame(src, dst, netip.AddrPortFrom(client.Addr4(), port), netip.AddrPortFrom(nas4, 22), flagSYN)
				for _, id := range ids {
					frame = slices.Insert(frame, 12, 0x81, 0, 0, id)
				}
				h.must(client.SendFrame(frame))
			}
			all, group := ether.Broadcast, ether.MAC{1, 0, 0x5e, 0, 0, 1}
			knock(client.MAC(), porter.MAC(), 1001, 5)
			knock(client.MAC(), porter.MAC(), 1002, 5, 0)
			knock(client.MAC(), porter.MAC(), 1003, 0, 5)
			knock(client.MAC(), all, 1004)
			knock(client.MAC(), group, 1005)
			knock(client.MAC(), nas.MAC(), 1006)
			knock(client.MAC(), porter.MAC(), 1100, slices.Repeat([]byte{0}, tags)...)
			e := h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
			if source, _, _ := cutKnock(e.Field("knock")); source.Port() != 1100 {
				t.Errorf("woken by %q, want the SYN with priority tags", e.Field("knock"))
			}
		})
	}
}
