package handover

import (
	"net/netip"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// packet is a held packet.
type packet struct {
	frame    []byte
	sum      lan.Checksum
	flow     flow
	service  machine.Service
	client   Client
	datagram datagramID
	port     uint16 // of the client; UDP only
	probed   bool   // it went to the machine as a probe, and was not refused

	first, last time.Time // when it arrived, and when it was repeated last
}

// datagramID, together with both addresses, identifies the datagram of a fragment. The zero
// value is that of a packet that is no fragment.
type datagramID struct {
	fragment bool
	of       byte
	id       uint32
}

func datagramOf(p *lan.Packet) datagramID { return datagramID{p.Fragment, p.FragmentOf, p.FragmentID} }

// flow identifies a TCP segment, so that a retransmission is recognized. A SYN stands for
// its whole connection.
type flow struct {
	from, to netip.AddrPort
	seq      uint32
	syn      bool
}

// flowOf returns the flow of a packet, or the zero flow if it is not TCP.
func flowOf(p *lan.Packet) flow {
	if p.Kind != lan.TCP {
		return flow{}
	}
	f := flow{from: netip.AddrPortFrom(p.From, p.FromPort), to: netip.AddrPortFrom(p.To, p.ToPort), syn: p.SYN()}
	if !f.syn {
		f.seq = p.Seq
	}
	return f
}

// Client is a client with held packets, as its neighbors see it: behind a router it has the
// router's MAC.
type Client struct {
	MachineIP netip.Addr // the machine's address to which it sends
	MAC       ether.MAC  // source MAC of its frames
	IP        netip.Addr // the client's own address
}

// sameNeighbor reports whether both have the same neighbor entry for the machine.
func (g Client) sameNeighbor(other Client) bool {
	return g.MachineIP == other.MachineIP && g.MAC == other.MAC
}
