package lan_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"nightporter/internal/lan"
)

// The tests have checksums of their own, independent of offsets that the
// code under test has found.

// fold adds up b as 16-bit words in ones' complement. Over data that carries its
// checksum it is 0xffff.
func fold(parts ...[]byte) uint16 {
	sum := uint32(0)
	for _, b := range parts {
		for i, octet := range b {
			if i%2 == 0 {
				sum += uint32(octet) << 8
			} else {
				sum += uint32(octet)
			}
			sum = sum>>16 + sum&0xffff
		}
	}
	return uint16(sum)
}

// pseudo is the pseudo-header of an upper-layer packet.
func pseudo(from, to netip.Addr, protocol byte, length int) []byte {
	b := append(from.AsSlice(), to.AsSlice()...)
	return append(b, 0, protocol, byte(length>>8), byte(length))
}

// sumAt is where the checksum is in the headers of the upper layer.
var sumAt = map[byte]int{1: 2, 6: 16, 17: 6, 58: 2}

// finished returns the IP packet with all its checksums. Its upper layer begins
// at offset at.
func finished(packet []byte, protocol byte, at int) []byte {
	b := append([]byte(nil), packet...)
	if b[0]>>4 == 4 {
		header := int(b[0]&15) * 4
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:], ^fold(b[:header]))
	}
	field := b[at+sumAt[protocol]:]
	field[0], field[1] = 0, 0
	sum := ^upperSum(b, protocol, at)
	if sum == 0 && protocol == 17 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(field, sum)
	return b
}

// unfinished returns the IP packet as it is before a NIC computes the checksum:
// with the sum of the pseudo-header in its place. The header's own is there.
func unfinished(packet []byte, protocol byte, at int) []byte {
	b := finished(packet, protocol, at)
	from, to := ends(b)
	binary.BigEndian.PutUint16(b[at+sumAt[protocol]:], fold(pseudo(from, to, protocol, len(b)-at)))
	return b
}

func ends(packet []byte) (from, to netip.Addr) {
	at, size := 12, 4
	if packet[0]>>4 == 6 {
		at, size = 8, 16
	}
	from, _ = netip.AddrFromSlice(packet[at : at+size])
	to, _ = netip.AddrFromSlice(packet[at+size : at+2*size])
	return from, to
}

func upperSum(packet []byte, protocol byte, at int) uint16 {
	if protocol == 1 {
		return fold(packet[at:])
	}
	from, to := ends(packet)
	return fold(pseudo(from, to, protocol, len(packet)-at), packet[at:])
}

// wrongSums says which checksum of a forwarded frame is wrong. Those that cannot
// be known from the frame alone are not looked at.
func wrongSums(tb testing.TB, frame []byte) error {
	tb.Helper()
	p := view(tb, frame)
	packet := frame[p.Network:]
	if p.From.Is4() {
		if header := packet[:int(packet[0]&15)*4]; fold(header) != 0xffff {
			return fmt.Errorf("header checksum of % x", header)
		}
		packet = packet[:binary.BigEndian.Uint16(packet[2:])]
	} else {
		packet = packet[:40+int(binary.BigEndian.Uint16(packet[4:]))]
	}
	protocol := map[lan.Kind]byte{lan.TCP: 6, lan.UDP: 17, lan.EchoRequest: 1, lan.EchoReply: 1, lan.PortUnreachable: 1}[p.Kind]
	if protocol == 0 || p.Fragment {
		return nil
	}
	if protocol == 1 && p.From.Is6() {
		protocol = 58
	}
	at := p.Transport - p.Network
	if protocol == 17 {
		packet = packet[:at+int(binary.BigEndian.Uint16(packet[at+4:]))]
		if p.From.Is4() && packet[at+6] == 0 && packet[at+7] == 0 {
			return nil
		}
	}
	if upperSum(packet, protocol, at) != 0xffff {
		return fmt.Errorf("checksum of the %v in % x", p.Kind, frame)
	}
	return nil
}
