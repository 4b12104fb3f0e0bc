package e2e

import (
	"encoding/binary"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

const (
	etherTypeWakeOnLAN = 0x0842
	ethernetHeader     = 14
)

// matcher picks a frame.
type matcher func(*record) bool

// sameFrame matches the frame that was sent.
func sameFrame(frame []byte) matcher {
	return func(r *record) bool { return string(r.frame) == string(frame) }
}

// magicFor matches a magic packet of the Ethernet form.
func magicFor(mac ether.MAC) matcher {
	return func(r *record) bool {
		woken, ok := magicMAC(r.frame)
		return ok && woken == mac
	}
}

// magicMAC returns the MAC that a magic packet of the Ethernet form wakes.
func magicMAC(frame []byte) (mac ether.MAC, ok bool) {
	const at = ethernetHeader + 6 // after the six bytes of ones
	if len(frame) < at+len(mac) || binary.BigEndian.Uint16(frame[12:]) != etherTypeWakeOnLAN {
		return mac, false
	}
	return ether.MAC(frame[at:]), true
}

// matchPacket matches a well-formed frame by its parsed packet.
func matchPacket(match func(*lan.Packet) bool) matcher {
	var p lan.Packet
	return func(r *record) bool { return p.Parse(r.frame) == lan.Accepted && match(&p) }
}
