package lan

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"nightporter/internal/ether"

	"golang.org/x/sys/unix"
)

const (
	etherTypeWakeOnLAN = 0x0842
	magicRepeats       = 16
	discardPort        = 9 // RFC 863; the customary port: a NIC ignores ports
	defaultHopLimit    = 64
	dontFragment       = 0x4000
)

// MagicPacket returns the pattern that a sleeping NIC matches anywhere in a frame: six
// octets of ones, sixteen times the address of the NIC, then the SecureOn password (0, 4
// or 6 octets). It is 102 octets long, plus the password.
func MagicPacket(mac ether.MAC, password []byte) []byte {
	b := make([]byte, 0, 6+6*magicRepeats+len(password))
	b = append(b, ether.Broadcast[:]...)
	b = append(b, bytes.Repeat(mac[:], magicRepeats)...)
	return append(b, password...)
}

// MagicFrame returns the magic packet for mac in an Ethernet frame of type 0x0842. dst is
// ether.Broadcast or mac.
func MagicFrame(src, dst, mac ether.MAC, password []byte) []byte {
	return append(ethernetHead(src, dst, etherTypeWakeOnLAN), MagicPacket(mac, password)...)
}

// MagicUDPFrame returns the magic packet for mac in a UDP datagram to port 9, for NICs
// that match only this form. It is a broadcast from the own address from, or goes to all
// nodes if that is an IPv6 address. With an invalid address it comes from 0.0.0.0.
func MagicUDPFrame(src ether.MAC, from netip.Addr, mac ether.MAC, password []byte) []byte {
	magic := MagicPacket(mac, password)
	from = plain(from)
	if from.Is6() {
		to := allNodes()
		b := ethernetHead(src, multicastMAC(to), unix.ETH_P_IPV6)
		b = appendIPv6(b, from, to, unix.IPPROTO_UDP, defaultHopLimit, udpHeader+len(magic))
		return appendUDP(b, discard(from), discard(to), magic)
	}
	if !from.IsValid() {
		from = netip.IPv4Unspecified()
	}
	to := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	b := ethernetHead(src, ether.Broadcast, unix.ETH_P_IP)
	b = appendIPv4(b, from, to, unix.IPPROTO_UDP, udpHeader+len(magic))
	return appendUDP(b, discard(from), discard(to), magic)
}

func discard(ip netip.Addr) netip.AddrPort { return netip.AddrPortFrom(ip, discardPort) }

// ethernetHead returns an Ethernet header with capacity for the largest magic packet. A
// magic packet needs no padding.
func ethernetHead(src, dst ether.MAC, etherType uint16) []byte {
	b := make([]byte, 0, ethernetHeader+ipv6Header+udpHeader+6+6*magicRepeats+6)
	b = append(b, dst[:]...)
	b = append(b, src[:]...)
	return binary.BigEndian.AppendUint16(b, etherType)
}

// appendIPv4 appends the header of an IPv4 packet with length octets of payload.
func appendIPv4(b []byte, from, to netip.Addr, protocol byte, length int) []byte {
	at := len(b)
	b = append(b, 4<<4|ipv4Header/4, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4Header+length))
	b = append(b, 0, 0) // an unfragmented packet needs no identification (RFC 6864 section 4.1)
	b = binary.BigEndian.AppendUint16(b, dontFragment)
	b = append(b, defaultHopLimit, protocol, 0, 0)
	source, destination := from.As4(), to.As4()
	b = append(b, source[:]...)
	b = append(b, destination[:]...)
	setHeaderChecksum(b[at:])
	return b
}

// appendUDP appends a datagram. Its checksum covers the addresses, which are those of the
// IP header before it.
func appendUDP(b []byte, from, to netip.AddrPort, payload []byte) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(udpHeader+len(payload)))
	b = append(b, 0, 0)
	b = append(b, payload...)
	setChecksum(b[at:], unix.IPPROTO_UDP, from.Addr(), to.Addr())
	return b
}
