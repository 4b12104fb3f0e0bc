package e2e

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// isSYN reports whether a captured frame opens a TCP connection.
func isSYN(frame []byte) bool {
	var p lan.Packet
	return p.Parse(frame) == lan.Accepted && p.SYN()
}

// cutKnock splits "1.2.3.4:5 -> service". An echo request has no port.
func cutKnock(s string) (source netip.AddrPort, service string, ok bool) {
	from, service, ok := strings.Cut(s, " -> ")
	if ip, err := netip.ParseAddr(from); err == nil {
		return netip.AddrPortFrom(ip, 0), service, ok
	}
	source, err := netip.ParseAddrPort(from)
	return source, service, ok && err == nil
}

// clientAddr returns the client's address of ip's family.
func clientAddr(client *lab.Host, ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return client.Addr4()
	}
	return client.Addr6()
}

func servicePort(trigger string) machine.Port {
	switch trigger {
	case "udp":
		return machine.Port{Protocol: machine.UDP, Number: 27015}
	case "icmp":
		return machine.Port{Protocol: machine.ICMP}
	}
	return machine.Port{Protocol: machine.TCP, Number: 22}
}

// capturePort records what passes a host's port of the switch.
func (h *harness) capturePort(host *lab.Host) *lab.Capture {
	h.Helper()
	c, err := h.lan.CapturePort(h.ctx, host)
	h.must(err)
	h.Cleanup(func() { c.Close() })
	return c
}

// isSegment reports whether a frame is a segment of a flow with exactly these flags; PSH and
// later flags are ignored.
func isSegment(f lab.Frame, from, to netip.AddrPort, flags byte) bool {
	var p lan.Packet
	return p.Parse(f.Data) == lan.Accepted && p.Kind == lan.TCP && p.Flags&(flagFIN|flagSYN|flagRST|flagACK) == flags &&
		p.From == from.Addr() && p.FromPort == from.Port() && p.To == to.Addr() && p.ToPort == to.Port()
}

// segmentOf returns a frame's TCP segment without its checksum, which a kernel may leave to its
// network card.
func segmentOf(f lab.Frame) []byte {
	var p lan.Packet
	if p.Parse(f.Data) != lan.Accepted || p.Kind != lan.TCP {
		return nil
	}
	segment := bytes.Clone(f.Data[p.Transport:])
	segment[16], segment[17] = 0, 0
	return segment
}

// complaint names a kernel's answer that ends or diverts a connection: RST, ICMP unreachable or
// redirect (RFC 792), and those of ICMPv6 (RFC 4443 section 3.1, RFC 4861 section 4.5). It is
// empty for other frames.
func complaint(f lab.Frame) string {
	b := f.Payload()
	if f.Outgoing || len(b) < 40 {
		return ""
	}
	var protocol byte
	var rest []byte
	kinds := map[byte]string{}
	switch f.EtherType() {
	case 0x0800:
		protocol, rest = b[9], b[min(4*int(b[0]&0xf), len(b)):]
		kinds[3], kinds[5] = "unreachable", "redirect"
	case 0x86dd:
		protocol, rest = b[6], b[40:]
		kinds[1], kinds[137] = "unreachable", "redirect"
	}
	const icmp, tcp, icmpv6 = 1, 6, 58
	switch {
	case len(rest) < 14:
		return ""
	case protocol == icmp || protocol == icmpv6:
		return kinds[rest[0]]
	case protocol == tcp && rest[13]&4 != 0:
		return "rst"
	}
	return ""
}

// opensTo matches an outgoing SYN for ip that is not older than at.
func opensTo(ip netip.Addr, at time.Time) func(lab.Frame) bool {
	return func(f lab.Frame) bool {
		var p lan.Packet
		return f.Outgoing && p.Parse(f.Data) == lan.Accepted && p.SYN() && p.To == ip && !f.Time.Before(at)
	}
}

// isClaim reports whether a frame says that one of the addresses is at mac.
func isClaim(f lab.Frame, mac ether.MAC, ips ...netip.Addr) bool {
	var p lan.Packet
	if p.Parse(f.Data) != lan.Accepted || p.SenderMAC != mac {
		return false
	}
	return p.Kind == lan.NeighborAdvertisement && slices.Contains(ips, p.Target) ||
		(p.Kind == lan.ARPRequest || p.Kind == lan.ARPReply) && slices.Contains(ips, p.From)
}

// isARPRequest reports whether a frame is an ARP request from one address for another.
func isARPRequest(f lab.Frame, from, to netip.Addr) bool {
	var p lan.Packet
	return p.Parse(f.Data) == lan.Accepted && p.Kind == lan.ARPRequest && p.From == from && p.To == to
}

// isNeighborRequest matches a unicast neighbor request of a host for an address, where it
// arrives.
func isNeighborRequest(from, ip netip.Addr, by ether.MAC) func(lab.Frame) bool {
	return func(f lab.Frame) bool {
		var p lan.Packet
		if p.Parse(f.Data) != lan.Accepted || f.Dst() != by {
			return false
		}
		return p.Kind == lan.ARPRequest && p.From == from && p.To == ip || p.Kind == lan.NeighborSolicitation && p.From == from && p.Target == ip
	}
}

// The flags of a TCP segment (RFC 9293 section 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)
