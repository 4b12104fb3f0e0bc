package e2e

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// garbage makes invalid frames of all kinds from valid ones. None comes from the machine or is
// a knock.
type garbage struct {
	random *rand.Rand
	porter *lab.Host
	whole  [][]byte
}

func newGarbage(seed uint64, h *harness) *garbage {
	g := &garbage{random: rand.New(rand.NewPCG(seed, 6)), porter: h.lan.Porter()}
	r, mac := g.random, g.porter.MAC()
	from := netip.AddrPortFrom(anyIPv4(r), 4000)
	g.whole = [][]byte{
		neighborRequest(r, ether.Broadcast, anyIPv4(r), nas4),
		neighborRequest(r, mac, anyIPv6(r), nas6),
		lantest.SegmentFrame(anyMAC(r), mac, from, netip.AddrPortFrom(nas4, 23), flagSYN),
		lantest.SegmentFrame(anyMAC(r), mac, from, netip.AddrPortFrom(nas4, 9), 0),
		lantest.IPv6Frame(anyMAC(r), mac, anyIPv6(r), nas6, 0, 255, []byte{58, 0, 5, 2, 0, 0, 1, 0}, make([]byte, 8)),                     // hop-by-hop, then ICMPv6
		lantest.IPv6Frame(anyMAC(r), mac, anyIPv6(r), nas6, 44, 255, []byte{17, 0, 0, 1, 0, 0, 0, 7}, make([]byte, 8)),                    // a first fragment
		lantest.IPv6Frame(anyMAC(r), mac, anyIPv6(r), nas6, 60, 255, slices.Repeat([]byte{60, 0, 1, 4, 0, 0, 0, 0}, 40), make([]byte, 8)), // a long chain
	}
	return g
}

// next returns one more frame, of 14 to 1514 bytes.
func (g *garbage) next() []byte {
	r := g.random
	f := slices.Clone(g.whole[r.IntN(len(g.whole))])
	switch r.IntN(7) {
	case 0: // a truncated frame
		f = f[:14+r.IntN(len(f)-14)]
	case 1: // trailing bytes
		f = append(f, make([]byte, r.IntN(1514-len(f)))...)
	case 2: // one or two VLAN tags
		for range 1 + r.IntN(2) {
			f = slices.Insert(f, 12, 0x81, 0, byte(r.Uint32()), byte(r.Uint32()))
		}
	case 3: // options, or a header that is too short
		f[14] = f[14]&0xf0 | byte(r.IntN(16))
	case 4: // another protocol with the same body
		binary.BigEndian.PutUint16(f[12:], pick(r, uint16(0x0800), 0x0806, 0x86dd, 0x0842, 0x8100, 0x88a8, uint16(r.Uint32())))
	case 5: // a random body
		for i := 12; i < len(f); i++ {
			f[i] = byte(r.Uint32())
		}
	default: // a few changed bytes
		for range 1 + r.IntN(6) {
			f[12+r.IntN(len(f)-12)] = byte(r.Uint32())
		}
	}
	if !g.harmless(f) {
		return g.next()
	}
	return f
}

// harmless reports whether a frame is neither a knock nor another host's claim to an address.
func (g *garbage) harmless(f []byte) bool {
	var p lan.Packet
	if p.Parse(f) != lan.Accepted {
		return true
	}
	switch p.Kind {
	case lan.ARPRequest, lan.ARPReply:
		return p.From != nas4
	case lan.NeighborAdvertisement:
		return p.Target != nas6
	case lan.TCP, lan.UDP:
		return p.ToPort != 22 && p.ToPort != 27015
	case lan.EchoRequest:
		return false
	}
	return true
}

// TestFaultGarbage: invalid frames change nothing in any state of a machine.
func TestFaultGarbage(t *testing.T) {
	h := open(t, floodConf)
	nas := h.addNAS(nil)
	vandal, err := h.lan.AddHost("vandal", netip.MustParsePrefix("10.77.0.66/24"))
	h.must(err)
	g := newGarbage(1, h)
	flood, err := vandal.Flood(soak(4000, 20000), func([]byte) []byte { return g.next() })
	h.must(err)
	more := func(state string) { // frames are sent in this state
		t.Helper()
		h.wantMetric(1, `nightporter_machine_state{machine="nas", state=%q}`, state)
		h.must(waitSent(h, flood, uint64(soak(1000, 20000))))
		h.wantMetric(1, `nightporter_machine_state{machine="nas", state=%q}`, state)
	}
	h.register(nas.Host, nasRegistration(nas))
	more("settling") // as long as it is up
	h.must(nas.Sleep(h.ctx))
	h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	more("asleep")
	wantAnsweredInFlood(h, h.lan.Client(), floodKinds[0])
	h.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
	if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
	h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
	more("awake")
	if err := flood.Stop(); err != nil {
		t.Error(err)
	}
	h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
	h.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="udp"}`)
	h.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="icmp"}`)
	h.wantMetric(0, `nightporter_address_conflicts_total{machine="nas"}`)
	for _, reason := range []string{"truncated", "bad_arp", "bad_ip", "bad_ndp"} {
		n := h.metric(`nightporter_frames_rejected_total{interface="eth0", reason=%q}`, reason)
		t.Logf("%s: %v", reason, n)
		if n == 0 {
			t.Errorf("no frame was rejected as %s", reason)
		}
	}
}
