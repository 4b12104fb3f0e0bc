package bench

import (
	"encoding/binary"
	"net/netip"

	"nightporter/internal/ether"

	"golang.org/x/sys/unix"

	"nightporter/internal/lan"
)

const (
	etherTypeWakeOnLAN = 0x0842
	ethernetHeader     = 14
	tcpHeader          = 20
	flagSYN, flagRST   = 1 << 1, 1 << 2 // RFC 9293 section 3.1
)

// syn returns a frame that opens a TCP connection. Its checksums are right: the
// kernel answers no other.
func syn(src, dst ether.MAC, from, to netip.AddrPort) []byte {
	frame := append(append([]byte(nil), dst[:]...), src[:]...)
	s, d := from.Addr().AsSlice(), to.Addr().AsSlice()
	if to.Addr().Is4() {
		frame = binary.BigEndian.AppendUint16(frame, unix.ETH_P_IP)
		ip := []byte{0x45, 0, 0, 20 + tcpHeader, 0, 0, 0x40, 0, 64, unix.IPPROTO_TCP, 0, 0}
		ip = append(append(ip, s...), d...)
		binary.BigEndian.PutUint16(ip[10:], ^sum(ip))
		frame = append(frame, ip...)
	} else {
		frame = binary.BigEndian.AppendUint16(frame, unix.ETH_P_IPV6)
		frame = append(frame, 0x60, 0, 0, 0, 0, tcpHeader, unix.IPPROTO_TCP, 64)
		frame = append(append(frame, s...), d...)
	}
	tcp := binary.BigEndian.AppendUint16(nil, from.Port())
	tcp = binary.BigEndian.AppendUint16(tcp, to.Port())
	tcp = append(tcp, 0, 0, 0, 1, 0, 0, 0, 0, tcpHeader/4<<4, flagSYN, 0xff, 0xff, 0, 0, 0, 0)
	pseudo := append(append(append([]byte(nil), s...), d...), 0, unix.IPPROTO_TCP, 0, tcpHeader)
	binary.BigEndian.PutUint16(tcp[16:], ^sum(append(pseudo, tcp...)))
	return append(frame, tcp...)
}

// sum is the ones' complement sum of RFC 1071 over an even number of octets.
func sum(b []byte) uint16 {
	var s uint32
	for ; len(b) > 0; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// matcher picks a frame.
type matcher func(*record) bool

// same matches the frame that was sent.
func same(frame []byte) matcher {
	return func(r *record) bool { return string(r.frame) == string(frame) }
}

// magicFor matches a magic packet of the Ethernet form.
func magicFor(mac ether.MAC) matcher {
	return func(r *record) bool {
		woken, ok := magicMAC(r.frame)
		return ok && woken == mac
	}
}

// magicMAC returns whom a magic packet of the Ethernet form wakes.
func magicMAC(frame []byte) (mac ether.MAC, ok bool) {
	const at = ethernetHeader + 6 // after the six octets of ones
	if len(frame) < at+len(mac) || binary.BigEndian.Uint16(frame[12:]) != etherTypeWakeOnLAN {
		return mac, false
	}
	return ether.MAC(frame[at:]), true
}

// packet matches by what a well formed frame holds.
func packet(match func(*lan.Packet) bool) matcher {
	var p lan.Packet
	return func(r *record) bool { return p.Parse(r.frame) == lan.Accepted && match(&p) }
}
