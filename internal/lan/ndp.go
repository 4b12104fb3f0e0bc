package lan

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"nightporter/internal/ether"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// allNodes is ff02::1 (RFC 4291, section 2.7.1).
func allNodes() netip.Addr { return netip.IPv6LinkLocalAllNodes() }

// ndFrame returns the ND message m in an IPv6 packet, in an Ethernet frame.
func ndFrame(src, dst ether.MAC, from, to netip.Addr, m ndp.Message) ([]byte, error) {
	message, err := ndp.MarshalMessageChecksum(m, from, to)
	if err != nil {
		return nil, fmt.Errorf("%v for %v: %w", m.Type(), to, err)
	}
	packet := appendIPv6(nil, from, to, unix.IPPROTO_ICMPV6, ndHopLimit, len(message))
	return ethernetFrame(src, dst, ethernet.EtherTypeIPv6, append(packet, message...))
}

// appendIPv6 appends the header of an IPv6 packet with length octets of payload.
func appendIPv6(b []byte, from, to netip.Addr, next, hopLimit byte, length int) []byte {
	b = append(b, 6<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, next, hopLimit)
	source, destination := from.As16(), to.As16()
	b = append(b, source[:]...)
	return append(b, destination[:]...)
}

// solicitation asks for target: everybody in its solicited-node group, or the
// one machine dst, as when a neighbour's reachability is verified (RFC 4861,
// section 7.3.3). It says that from is at sender.
func solicitation(src, dst, sender ether.MAC, from, target netip.Addr) ([]byte, error) {
	to := target
	if dst == ether.Broadcast {
		group, err := ndp.SolicitedNodeMulticast(target)
		if err != nil {
			return nil, fmt.Errorf("solicited-node group of %v: %w", target, err)
		}
		to, dst = group, multicastMAC(group)
	}
	return ndFrame(src, dst, from, to, &ndp.NeighborSolicitation{
		TargetAddress: target,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: sender[:]}},
	})
}

// unsolicitedAdvertisement says that target is at owner (RFC 4861, section
// 7.2.6). The override flag replaces what the neighbours remember; the router
// flag is clear, since a router is never claimed.
func unsolicitedAdvertisement(src, dst, owner ether.MAC, target, from, client netip.Addr) ([]byte, error) {
	to := client
	if dst == ether.Broadcast {
		to, dst = allNodes(), multicastMAC(allNodes())
	} else if !client.IsValid() {
		to = allNodes()
	}
	return ndFrame(src, dst, from, to, advertisement(owner, target, false))
}

// solicitedAdvertisement answers the solicitation p (RFC 4861, section 7.2.4).
// One from the unspecified address is another host's duplicate address
// detection: it has no address to answer to yet, so the answer goes to all nodes
// and is not called solicited.
func solicitedAdvertisement(p *Packet, src, owner ether.MAC) ([]byte, error) {
	if err := checkUnicast("target", p.Target); err != nil {
		return nil, fmt.Errorf("answer to a neighbor solicitation: %w", err)
	}
	if p.From.IsUnspecified() {
		return ndFrame(src, multicastMAC(allNodes()), p.Target, allNodes(), advertisement(owner, p.Target, false))
	}
	if !p.Src.Unicast() || p.From.IsMulticast() {
		return nil, fmt.Errorf("answer to a neighbor solicitation for %v: asked by %v at %v: expected unicast addresses",
			p.Target, p.From, p.Src)
	}
	return ndFrame(src, p.Src, p.Target, p.From, advertisement(owner, p.Target, true))
}

func advertisement(owner ether.MAC, target netip.Addr, solicited bool) *ndp.NeighborAdvertisement {
	return &ndp.NeighborAdvertisement{
		Solicited:     solicited,
		Override:      true,
		TargetAddress: target,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: owner[:]}},
	}
}
