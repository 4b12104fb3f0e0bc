package lan

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

// minFrame is the minimum length of an Ethernet frame without its checksum (IEEE 802.3).
const minFrame = 60

// Forward passes the IP packet p to send, in frames from src to the host dst, each with
// an IP packet of at most mtu octets. It changes the Ethernet addresses only and does not
// decrement the TTL: the two ends see no router. A packet that arrived damaged leaves
// damaged, and its receiver drops it. There are three exceptions:
//   - Forward computes an unfinished checksum of TCP, UDP or ICMP (see Packet.Sum). Those
//     of a fragment and of a packet with a source route cover data outside of the frame,
//     and stay as they are.
//   - It cuts a TCP segment that is larger than the MTU, because the NIC or the kernel
//     has merged several or cuts it later, into segments with their own checksums. It
//     does not send a damaged one, unless a network card has verified it.
//   - It drops an Ethernet trailer and a priority tag.
//
// Forward works in place: p and its frame are invalid afterwards. It allocates only for
// frames below the minimum length of Ethernet. send must not keep the frame. Its first
// error ends Forward and is returned unchanged. Other errors state the fault of p: not
// IP, damaged, or too large and impossible to cut.
func Forward(p *Packet, src, dst ether.MAC, mtu int, send func(frame []byte) error) error {
	if err := checkDestination(dst); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	o, err := p.outbound(src, dst)
	if err != nil {
		return fmt.Errorf("forward: %v from %v to %v: %w", p.Kind, p.From, p.To, err)
	}
	if size := len(o.frame) - ethernetHeader; size > mtu {
		if err := o.cuttable(mtu); err != nil {
			return fmt.Errorf("forward: %v packet of %d octets from %v to %v: expected at most the mtu, %d octets: %w",
				p.Kind, size, p.From, p.To, mtu, err)
		}
		return o.cut(mtu, send)
	}
	if p.Sum == Unfinished && o.transport != 0 {
		o.finish(o.frame)
	}
	return send(padded(o.frame))
}

// Redirect replaces the Ethernet addresses of a frame in place.
func Redirect(frame []byte, src, dst ether.MAC) {
	copy(frame, dst[:])
	copy(frame[len(dst):], src[:])
}

// padded returns frame with zeros up to the minimum length of Ethernet. It copies the
// frame, because the octets behind it in memory may belong to another one.
func padded(frame []byte) []byte {
	if len(frame) >= minFrame {
		return frame
	}
	return append(make([]byte, 0, minFrame), frame...)[:minFrame]
}

// outbound is an IP packet to be sent, in a frame with new addresses.
type outbound struct {
	p         *Packet
	frame     []byte // without tag and trailer, so the IP header follows the Ethernet header
	transport int    // offset of the transport header; 0 if its checksum must not change
	protocol  byte
}

// outbound puts a new Ethernet header before the IP packet of p. An 802.1Q tag lies
// between the addresses and the type, so the new header overwrites it.
func (p *Packet) outbound(src, dst ether.MAC) (outbound, error) {
	if p.Network == 0 {
		return outbound{}, errors.New("expected an ip packet")
	}
	rest := p.Frame[p.Network:]
	length, rerouted := int(be16(rest[2:])), false
	if rest[0]>>4 == 6 {
		length = ipv6Header + int(be16(rest[4:]))
		if length == ipv6Header && rest[6] == unix.IPPROTO_HOPOPTS { // RFC 2675 section 2
			return outbound{}, errors.New("expected a packet of at most 65535 octets of payload, found a jumbogram")
		}
		rerouted = skipExtensions(rest[:length], rest[6], ipv6Header).rerouted
	} else {
		rerouted, _ = readOptions(rest[ipv4Header : int(rest[0]&0x0f)*4])
	}
	start := p.Network - ethernetHeader
	o := outbound{p: p, frame: p.Frame[start : p.Network+length]}
	Redirect(o.frame, src, dst)
	if p.Transport != 0 && !p.Fragment && !rerouted {
		o.transport, o.protocol = p.Transport-start, p.protocol()
	}
	return o, nil
}

// protocol returns the protocol number of a packet with a transport header.
func (p *Packet) protocol() byte {
	switch {
	case p.Kind == TCP:
		return unix.IPPROTO_TCP
	case p.Kind == UDP:
		return unix.IPPROTO_UDP
	case p.From.Is4():
		return unix.IPPROTO_ICMP
	}
	return unix.IPPROTO_ICMPV6
}

// finish sets the checksum of the transport header in frame, which has the headers of
// o.frame.
func (o *outbound) finish(frame []byte) {
	b := frame[o.transport:]
	if o.protocol == unix.IPPROTO_UDP {
		b = b[:be16(b[4:])] // what follows is part of the IP packet, not of the datagram
		if o.p.From.Is4() && be16(b[6:]) == 0 {
			return // the sender left it out (RFC 768)
		}
	}
	setChecksum(b, o.protocol, o.p.From, o.p.To)
}

// header returns the IPv4 header of frame, which has the headers of o.frame. It is nil
// for IPv6.
func (o *outbound) header(frame []byte) []byte {
	packet := frame[ethernetHeader:]
	if packet[0]>>4 != 4 {
		return nil
	}
	return packet[:int(packet[0]&0x0f)*4]
}

// cuttable returns an error if o cannot be cut to the MTU.
func (o *outbound) cuttable(mtu int) error {
	switch {
	case o.p.Kind != TCP:
		return errors.New("only tcp can be cut")
	case o.transport == 0:
		return errors.New("a fragment, or a stop of a source route, cannot be cut")
	case o.p.Flags&(tcpSYN|tcpRST) != 0:
		return fmt.Errorf("found the flags %#02x: only data can be cut", o.p.Flags)
	}
	if headers := o.headers() - ethernetHeader; headers >= mtu {
		return fmt.Errorf("no room for data after %d octets of headers", headers)
	}
	return o.intact()
}

// headers returns the length of the headers of a TCP segment.
func (o *outbound) headers() int { return o.transport + tcpLength(o.frame[o.transport:]) }

// cut sends o, a TCP segment that is cuttable, in several segments. Each gets its headers
// directly before its part of the payload, over data that was sent already.
func (o *outbound) cut(mtu int, send func([]byte) error) error {
	headers := o.headers()
	share := ethernetHeader + mtu - headers
	id := be16(o.frame[ethernetHeader+4:])
	for n, at := 0, 0; at < o.p.Payload; n, at = n+1, at+share {
		size := min(share, o.p.Payload-at)
		segment := o.frame[at : at+headers+size]
		if at > 0 {
			copy(segment, o.frame[at-share:at-share+headers])
		}
		packet := segment[ethernetHeader:]
		if packet[0]>>4 == 4 {
			binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
			binary.BigEndian.PutUint16(packet[4:], id+uint16(n))
		} else {
			binary.BigEndian.PutUint16(packet[4:], uint16(len(packet)-ipv6Header))
		}
		o.mark(segment[o.transport:], at, at+size == o.p.Payload)
		if h := o.header(segment); h != nil {
			setHeaderChecksum(h)
		}
		o.finish(segment)
		if err := send(padded(segment)); err != nil {
			return err
		}
	}
	return nil
}

// mark sets the sequence number and the flags of the segment with the payload from offset
// at on. FIN and PSH belong to the last segment, CWR to the first (RFC 3168 section
// 6.1.2).
func (o *outbound) mark(tcp []byte, at int, last bool) {
	flags := o.p.Flags
	if !last {
		flags &^= tcpFIN | tcpPSH
	}
	if at > 0 {
		flags &^= tcpCWR
	}
	binary.BigEndian.PutUint32(tcp[4:], o.p.Seq+uint32(at))
	tcp[13] = flags
}

// intact returns an error if a checksum of o, a TCP segment, is wrong.
func (o *outbound) intact() error {
	if h := o.header(o.frame); h != nil && checksum(h, 0) != 0 {
		return errors.New("the header's checksum is wrong")
	}
	b := o.frame[o.transport:]
	if o.p.Sum == Unchecked && checksum(b, pseudoHeader(o.p.From, o.p.To, o.protocol, len(b))) != 0 {
		return errors.New("the checksum is wrong")
	}
	return nil
}
