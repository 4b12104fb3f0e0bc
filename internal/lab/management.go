package lab

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/mdlayher/ethernet"
	"golang.org/x/sys/unix"
)

const (
	icmpHeader     = 8
	icmpChecksumAt = 2
)

// echoReply returns what management firmware answers to a ping of one of its
// machine's addresses, or nil.
func (m *Machine) echoReply(f Frame) []byte {
	if f.Dst() != m.mac {
		return nil
	}
	switch f.EtherType() {
	case ethernet.EtherTypeIPv4:
		return m.echoReply4(f)
	case ethernet.EtherTypeIPv6:
		return m.echoReply6(f)
	}
	return nil
}

func (m *Machine) echoReply4(f Frame) []byte {
	b := f.Payload()
	if len(b) < ipv4Header+icmpHeader || b[0] != 0x45 || b[9] != unix.IPPROTO_ICMP || b[ipv4Header] != echoRequest4 {
		return nil
	}
	length := int(binary.BigEndian.Uint16(b[2:])) // what follows is padding
	if length < ipv4Header+icmpHeader || length > len(b) {
		return nil
	}
	b = slices.Clone(b[:length])
	src, dst := [4]byte(b[12:16]), [4]byte(b[16:20])
	if !m.owns(netip.AddrFrom4(dst)) {
		return nil
	}
	// The sum of the header stays: the addresses only change their places.
	copy(b[12:], dst[:])
	copy(b[16:], src[:])
	icmp := b[ipv4Header:]
	icmp[0] = echoReply4
	setChecksum(icmp, func() uint16 { return checksum(icmp) })
	return buildFrame(f.Src(), m.mac, ethernet.EtherTypeIPv4, b)
}

func (m *Machine) echoReply6(f Frame) []byte {
	b := f.Payload()
	if len(b) < ipv6Header+icmpHeader || b[6] != protocolICMPv6 || b[ipv6Header] != echoRequest6 {
		return nil
	}
	length := ipv6Header + int(binary.BigEndian.Uint16(b[4:]))
	if length < ipv6Header+icmpHeader || length > len(b) {
		return nil
	}
	b = slices.Clone(b[:length])
	src, dst := [16]byte(b[8:24]), [16]byte(b[24:40])
	if !m.owns(netip.AddrFrom16(dst)) {
		return nil
	}
	copy(b[8:], dst[:])
	copy(b[24:], src[:])
	icmp := b[ipv6Header:]
	icmp[0] = echoReply6
	setChecksum(icmp, func() uint16 { return checksum6(dst, src, protocolICMPv6, icmp) })
	return buildFrame(f.Src(), m.mac, ethernet.EtherTypeIPv6, b)
}

// setChecksum puts the sum of a message into it.
func setChecksum(icmp []byte, sum func() uint16) {
	icmp[icmpChecksumAt], icmp[icmpChecksumAt+1] = 0, 0
	binary.BigEndian.PutUint16(icmp[icmpChecksumAt:], sum())
}
