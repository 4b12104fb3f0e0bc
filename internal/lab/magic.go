package lab

import (
	"bytes"
	"encoding/binary"

	"nightporter/internal/ether"

	"github.com/mdlayher/ethernet"
)

// The UDP ports that magic packets are sent to, echo and discard.
const (
	echoPort    = 7
	discardPort = 9
	udpHeader   = 8
	// magicRepeats is how often a magic packet repeats the MAC.
	magicRepeats = 16
)

// parseMagic reports whether a frame is a magic packet for mac, and how it came.
// A card looks for the synchronisation stream anywhere in the payload; the
// SecureOn password, where there is one, follows it at once.
func parseMagic(f Frame, mac ether.MAC, password []byte) (Transport, bool) {
	if dst := f.Dst(); dst != mac && dst != ether.Broadcast {
		return "", false
	}
	payload, transport := magicPayload(f)
	if transport == "" {
		return "", false
	}
	want := bytes.Repeat([]byte{0xff}, 6)
	for range magicRepeats {
		want = append(want, mac[:]...)
	}
	return transport, bytes.Contains(payload, append(want, password...))
}

// magicPayload returns where a magic packet's bytes would be; the transport is
// empty for a frame that carries none.
func magicPayload(f Frame) ([]byte, Transport) {
	b := f.Payload()
	switch f.EtherType() {
	case EtherTypeWakeOnLAN:
		return b, OverEthernet
	case ethernet.EtherTypeIPv4:
		b = ipv4UDP(b)
	case ethernet.EtherTypeIPv6:
		b = ipv6UDP(b)
	default:
		return nil, ""
	}
	if len(b) < udpHeader {
		return nil, ""
	}
	if port := binary.BigEndian.Uint16(b[2:4]); port != echoPort && port != discardPort {
		return nil, ""
	}
	return b[udpHeader:], OverUDP
}

// ipv4UDP returns the UDP datagram of a packet that has one and is whole.
func ipv4UDP(b []byte) []byte {
	if len(b) < ipv4Header || b[0]>>4 != 4 || b[9] != protocolUDP {
		return nil
	}
	header := int(b[0]&0x0f) * 4
	const offsetMask = 0x1fff
	if header < ipv4Header || header > len(b) || binary.BigEndian.Uint16(b[6:8])&offsetMask != 0 {
		return nil
	}
	return b[header:]
}

// ipv6UDP is ipv4UDP for packets without extension headers.
func ipv6UDP(b []byte) []byte {
	if len(b) < ipv6Header || b[0]>>4 != 6 || b[6] != protocolUDP {
		return nil
	}
	return b[ipv6Header:]
}
