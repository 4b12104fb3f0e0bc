package lan_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/lan"
)

// FuzzForward: whatever is accepted is forwarded as what it was, or not at all.
func FuzzForward(f *testing.F) {
	text := strings.Repeat("words", 300)
	for _, frame := range [][]byte{
		to(sleepy4), to(sleepy6), unreachable4(lost4()), unreachable6(lost6()), question().frame(f),
		ethernetFrame(0x0800, packet4(6, data(0x99, 1, 2, text))...), tagged(ethernetFrame(0x86dd, extended6(6, data(0x19, 1, 2, text))...), 0),
		ethernetFrame(0x0800, options4(packet4(17, udp(9)), 12)...), ethernetFrame(0x0800, packet4(1, echo(8))...),
		ethernetFrame(0x0800, fragment4(packet4(6, tcp(2)), 0x2000)...), ethernetFrame(0x0800, fragment4(packet4(6, tcp(2)), 0x2001)...),
		ethernetFrame(0x86dd, extended6(0, extension(43, 8), extension(60, 24), extension(6, 16), data(0x10, 1, 2, text))...),
		ethernetFrame(0x86dd, extended6(43, with(extension(6, 8), 3, 1), tcp(2))...),
		ethernetFrame(0x0800, with(options4(packet4(6, tcp(2)), 8), 20, 1, 131, 7, 4)...),
	} {
		f.Add(frame, uint16(300))
	}
	f.Fuzz(func(t *testing.T, frame []byte, mtu uint16) {
		for _, sum := range []lan.Checksum{lan.Unchecked, lan.Verified, lan.Unfinished} {
			p := lan.Packet{Sum: sum}
			if p.Parse(frame) != lan.Accepted {
				return
			}
			sent, err := forward(frame, int(mtu), sum)
			if err == nil {
				checkForwarded(t, &p, sent, int(mtu))
			} else if len(sent) > 0 {
				t.Fatalf("%d frames, and then %v", len(sent), err)
			}
		}
	})
}

// checkForwarded compares the frames sent with the packet that they were.
func checkForwarded(t *testing.T, p *lan.Packet, sent [][]byte, mtu int) {
	t.Helper()
	var payload []byte
	for n, b := range sent {
		var q lan.Packet
		if v := q.Parse(b); v != lan.Accepted {
			t.Fatalf("frame %d of %d: %v: % x", n, len(sent), v, b)
		}
		if q.Src != porterMAC || q.Dst != sleepyMAC || len(b) < 60 || len(b) > max(60, 14+mtu) {
			t.Fatalf("frame %d: %d octets from %v to %v, with an mtu of %d", n, len(b), q.Src, q.Dst, mtu)
		}
		if q.Kind != p.Kind || q.From != p.From || q.To != p.To || q.FromPort != p.FromPort || q.ToPort != p.ToPort ||
			q.Fragment != p.Fragment || q.Network != 14 || q.Target != p.Target || q.Ack != p.Ack {
			t.Fatalf("frame %d: got %+v, want %+v", n, q, p)
		}
		if q.Kind == lan.TCP && q.Seq != p.Seq+uint32(len(payload)) {
			t.Fatalf("frame %d: sequence number %d after %d octets from %d", n, q.Seq, len(payload), p.Seq)
		}
		if err := wrongSums(t, b); err != nil && !rerouted(b) && len(sent) > 1 {
			t.Fatalf("frame %d: %v", n, err)
		}
		if len(sent) == 1 {
			checkUnchanged(t, p, &q)
		}
		payload = append(payload, payloadOf(&q)...)
	}
	if want := payloadOf(p); !bytes.Equal(payload, want) {
		t.Fatalf("payload %q, want %q", payload, want)
	}
}

// checkUnchanged compares the packet that was sent with what it was: only a
// checksum that is unfinished may be another, and that has to be right.
func checkUnchanged(t *testing.T, p, q *lan.Packet) {
	t.Helper()
	before, after := p.Frame[p.Network:], q.Frame[q.Network:]
	length := min(len(before), len(after))
	before, after = before[:length], after[:length]
	if p.Sum == lan.Unfinished && p.Transport != 0 {
		protocol := map[lan.Kind]byte{lan.TCP: 6, lan.UDP: 17, lan.EchoRequest: 1, lan.EchoReply: 1, lan.PortUnreachable: 1}[p.Kind]
		at := p.Transport - p.Network + sumAt[protocol]
		before, after = with(before, at, 0, 0), with(after, at, 0, 0)
		header := bytes.Clone(q.Frame)
		if q.From.Is4() { // not for us to make right
			binary.BigEndian.PutUint16(header[24:], 0)
			binary.BigEndian.PutUint16(header[24:], ^fold(header[14:14+int(header[14]&15)*4]))
		}
		if err := wrongSums(t, header); err != nil && !rerouted(header) {
			t.Fatal(err)
		}
	}
	// An IP packet shorter than the least frame is followed by zeros, not by what
	// followed it before.
	var total int
	if q.From.Is4() {
		total = int(binary.BigEndian.Uint16(after[2:]))
	} else {
		total = 40 + int(binary.BigEndian.Uint16(after[4:]))
	}
	if !bytes.Equal(before[:total], after[:total]) {
		t.Fatalf("sent % x, want % x", after[:total], before[:total])
	}
}

func payloadOf(p *lan.Packet) []byte {
	switch p.Kind {
	case lan.TCP:
		start := p.Transport + int(p.Frame[p.Transport+12]>>4)*4
		return p.Frame[start : start+p.Payload]
	case lan.UDP:
		return p.Frame[p.Transport+8:][:p.Payload]
	}
	return nil
}

// rerouted reports whether a frame may be one of a source route: their checksums
// are not for us to know.
func rerouted(frame []byte) bool {
	if frame[12] == 8 {
		options := frame[34 : 14+int(frame[14]&15)*4]
		return slices.Contains(options, 131) || slices.Contains(options, 137)
	}
	return frame[20] == 43 || frame[20] != 6 && frame[20] != 17 && frame[20] != 58
}
