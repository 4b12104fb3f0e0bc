package lan

import (
	"fmt"
	"net/netip"

	"nightporter/internal/ether"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// arpFields are what the ARP packets of this package differ in.
type arpFields struct {
	op                   arp.Operation
	senderMAC, targetMAC ether.MAC
	senderIP, targetIP   netip.Addr
}

// arpFrame returns f in an Ethernet frame from src to dst.
func arpFrame(src, dst ether.MAC, f arpFields) ([]byte, error) {
	packet, err := arp.NewPacket(f.op, f.senderMAC[:], f.senderIP, f.targetMAC[:], f.targetIP)
	if err != nil {
		return nil, fmt.Errorf("arp packet for %v: %w", f.targetIP, err)
	}
	payload, err := packet.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("arp packet for %v: %w", f.targetIP, err)
	}
	return ethernetFrame(src, dst, ethernet.EtherTypeARP, payload)
}

// arpRequest asks for target. The target hardware address is what the request
// is about to find out, so it is left zero (RFC 5227, section 2.1.1).
func arpRequest(src, dst, sender ether.MAC, from, target netip.Addr) ([]byte, error) {
	return arpFrame(src, dst, arpFields{
		op:        arp.OperationRequest,
		senderMAC: sender, senderIP: from,
		targetIP: target,
	})
}

// gratuitousARP says that ip is at owner, as a request (an ARP announcement:
// RFC 5227, section 2.3) and as a reply. The reply names owner as its target
// too: Linux takes a reply for gratuitous only then, and any other reply has to
// wait until the neighbour entry is a second old.
func gratuitousARP(src, dst, owner ether.MAC, ip netip.Addr) ([][]byte, error) {
	request, err := arpRequest(src, dst, owner, ip, ip)
	if err != nil {
		return nil, err
	}
	reply, err := arpFrame(src, dst, arpFields{
		op:        arp.OperationReply,
		senderMAC: owner, senderIP: ip,
		targetMAC: owner, targetIP: ip,
	})
	if err != nil {
		return nil, err
	}
	return [][]byte{request, reply}, nil
}

// arpAnswer turns the request p around (RFC 826, "Packet Reception"): the reply
// goes to the sender hardware address that the request names.
func arpAnswer(p *Packet, src, owner ether.MAC) ([]byte, error) {
	if !p.SenderMAC.Unicast() {
		return nil, fmt.Errorf("answer to an arp request for %v: sender %v: expected a unicast MAC address", p.To, p.SenderMAC)
	}
	return arpReply(src, p.SenderMAC, owner, p.To, p.From)
}

// arpReply tells the host dst, which has the address target, that ip is at owner.
func arpReply(src, dst, owner ether.MAC, ip, target netip.Addr) ([]byte, error) {
	return arpFrame(src, dst, arpFields{
		op:        arp.OperationReply,
		senderMAC: owner, senderIP: ip,
		targetMAC: dst, targetIP: target,
	})
}
