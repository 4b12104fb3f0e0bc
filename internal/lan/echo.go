package lan

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"nightporter/internal/ether"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// EchoProbe returns a frame from src to the machine dst with an echo request
// without data, from one of our own addresses (RFC 792; RFC 4443, section 4.1).
// Every operating system answers it that is not told otherwise; a network card
// that speaks for its sleeping machine does not. id tells our request from those
// of others. It is an error if an address is none that a host can have, if the
// addresses are of two families, or if dst is not the address of one machine.
func EchoProbe(src, dst ether.MAC, from, to netip.Addr, id, seq uint16) ([]byte, error) {
	err := checkPair(from, to)
	if err == nil {
		err = checkDestination(dst)
	}
	if err != nil {
		return nil, fmt.Errorf("echo probe: %w", err)
	}
	request, protocol := byte(ipv4.ICMPTypeEcho), byte(unix.IPPROTO_ICMP)
	if to.Is6() {
		request, protocol = byte(ipv6.ICMPTypeEchoRequest), unix.IPPROTO_ICMPV6
	}
	message := []byte{request, 0, 0, 0} // the checksum is still missing
	message = binary.BigEndian.AppendUint16(message, id)
	message = binary.BigEndian.AppendUint16(message, seq)
	return transportFrame(src, dst, from, to, protocol, message)
}
