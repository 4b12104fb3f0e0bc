package lan

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/ethernet"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

const (
	// The window of a SYN. No data arrives: the connection is reset at once.
	probeWindow = 64240

	// The largest segment in an Ethernet frame of 1500 octets (RFC 9293 section 3.7.1).
	// It is the only option: the SYN-ACK of a service then has no others.
	mss4           = 1500 - ipv4Header - tcpHeader
	mss6           = 1500 - ipv6Header - tcpHeader
	optionMSS      = 2
	optionMSSWords = 1

	// The source ports of probes. By default Linux assigns none of them to a program
	// (ip_local_port_range), so a packet to one is the answer to a probe.
	firstProbePort = 61000
	lastProbePort  = 64999
)

// ProbePort returns the source port of the nth probe. The ports are used in turn.
func ProbePort(n uint16) uint16 { return firstProbePort + n%(lastProbePort-firstProbePort+1) }

// IsProbePort reports whether port is a source port of probes.
func IsProbePort(port uint16) bool { return firstProbePort <= port && port <= lastProbePort }

// SYNProbe returns a SYN from src to the machine dst, from an own address to a service,
// with the initial sequence number seq. A listening service answers with a SYN-ACK, which
// ResetFor resets, and a closed port with a RST. It is an error if an address or a port
// is not valid for one host, if the addresses are of two families, or if dst is not the
// address of one machine.
func SYNProbe(src, dst ether.MAC, from, to netip.AddrPort, seq uint32) ([]byte, error) {
	if err := checkProbe(dst, from, to); err != nil {
		return nil, fmt.Errorf("syn probe: %w", err)
	}
	mss := uint16(mss4)
	if to.Addr().Is6() {
		mss = mss6
	}
	segment := appendTCP(nil, from.Port(), to.Port(), seq, tcpSYN, probeWindow, optionMSSWords)
	segment = append(segment, optionMSS, 4)
	segment = binary.BigEndian.AppendUint16(segment, mss)
	return transportFrame(src, dst, from.Addr(), to.Addr(), unix.IPPROTO_TCP, segment)
}

// ResetFor returns the RST from src that ends the connection of a SYNProbe after the
// SYN-ACK p. Its sequence number is the acknowledgment number of p, so the receiver
// accepts it, and it has no ACK (RFC 9293 section 3.5.2). It is an error if p is anything
// else, or if its sender is not the address of one machine.
func ResetFor(p *Packet, src ether.MAC) ([]byte, error) {
	if !p.SYNACK() {
		return nil, fmt.Errorf("reset: %v from %v with the flags %#02x: expected a syn-ack", p.Kind, p.From, p.Flags)
	}
	from, to := netip.AddrPortFrom(p.To, p.ToPort), netip.AddrPortFrom(p.From, p.FromPort)
	if err := checkProbe(p.Src, from, to); err != nil {
		return nil, fmt.Errorf("reset: %w", err)
	}
	segment := appendTCP(nil, from.Port(), to.Port(), p.Ack, tcpRST, 0, 0)
	return transportFrame(src, p.Src, from.Addr(), to.Addr(), unix.IPPROTO_TCP, segment)
}

func checkProbe(dst ether.MAC, from, to netip.AddrPort) error {
	if err := checkPair(from.Addr(), to.Addr()); err != nil {
		return err
	}
	switch {
	case from.Port() == 0:
		return fmt.Errorf("source %v: expected a port from 1 to 65535", from)
	case to.Port() == 0:
		return fmt.Errorf("target %v: expected a port from 1 to 65535", to)
	}
	return checkDestination(dst)
}

// checkDestination returns an error if dst is not the address of one machine.
func checkDestination(dst ether.MAC) error {
	if !dst.Unicast() {
		return fmt.Errorf("destination %v: expected a unicast MAC address", dst)
	}
	return nil
}

// appendTCP appends a TCP header without an acknowledgment and without a checksum. words
// is the number of 32-bit words of options that follow it.
func appendTCP(b []byte, from, to uint16, seq uint32, flags byte, window uint16, words byte) []byte {
	b = binary.BigEndian.AppendUint16(b, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = append(b, 0, 0, 0, 0, (tcpHeader/4+words)<<4, flags)
	b = binary.BigEndian.AppendUint16(b, window)
	return append(b, 0, 0, 0, 0) // checksum and urgent pointer
}

// transportFrame returns the upper-layer packet b, with its checksum set, in an
// IP packet in an Ethernet frame.
func transportFrame(src, dst ether.MAC, from, to netip.Addr, protocol byte, b []byte) ([]byte, error) {
	setChecksum(b, protocol, from, to)
	if to.Is6() {
		packet := appendIPv6(nil, from, to, protocol, defaultHopLimit, len(b))
		return ethernetFrame(src, dst, ethernet.EtherTypeIPv6, append(packet, b...))
	}
	packet := appendIPv4(nil, from, to, protocol, len(b))
	return ethernetFrame(src, dst, ethernet.EtherTypeIPv4, append(packet, b...))
}

// EchoProbe returns an echo request without data from src to the machine dst, from an own
// address (RFC 792; RFC 4443 section 4.1). Every operating system answers it by default;
// a network card that answers ARP for its sleeping machine does not. id identifies the
// requests of this program. It is an error if an address is not valid for one host, if
// the addresses are of two families, or if dst is not the address of one machine.
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
	message := []byte{request, 0, 0, 0} // the checksum follows
	message = binary.BigEndian.AppendUint16(message, id)
	message = binary.BigEndian.AppendUint16(message, seq)
	return transportFrame(src, dst, from, to, protocol, message)
}
