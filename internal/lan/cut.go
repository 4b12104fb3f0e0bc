package lan

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// cuttable says why o cannot be cut to the MTU.
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

// headers returns the length of all the headers of a TCP segment.
func (o *outbound) headers() int { return o.transport + tcpLength(o.frame[o.transport:]) }

// cut sends o, a TCP segment that is cuttable, as several. Each gets its headers
// directly in front of its share of the payload, over what has been sent already.
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

// mark sets the sequence number and the flags of the segment that carries the
// payload from offset at on. Of the flags that mean one moment of the stream, FIN
// and PSH belong to the end of it, CWR to its first octet (RFC 3168, section 6.1.2).
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

// intact says which checksum of o, a TCP segment, is wrong.
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
