package lan

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

// ethernetFrame puts an Ethernet header before payload and pads the frame to 60 octets,
// the minimum of Ethernet without its checksum (IEEE 802.3).
func ethernetFrame(src, dst ether.MAC, etherType ethernet.EtherType, payload []byte) ([]byte, error) {
	frame := ethernet.Frame{
		Destination: dst[:],
		Source:      src[:],
		EtherType:   etherType,
		Payload:     payload,
	}
	b, err := frame.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("ethernet frame: %w", err)
	}
	return b, nil
}

// multicastMAC returns the group address that carries IPv6 packets for the
// multicast address ip: 33:33 and its last four octets (RFC 2464 section 7).
func multicastMAC(ip netip.Addr) ether.MAC {
	b := ip.As16()
	return ether.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// NeighborProbe returns a request for the link-layer address of target: an ARP request
// with the sender address from, or a neighbor solicitation with the source from and the
// source link-layer option src.
//
// It goes to the machine dst alone. With ether.Broadcast it goes to all hosts: the ARP
// request as a broadcast, the solicitation to the solicited-node group of target. It is
// an error if from is not a usable source address (an ARP request without a sender
// address confuses the proxy-ARP tables of some access points), or if target is not a
// unicast address of the same family.
func NeighborProbe(src, dst ether.MAC, from, target netip.Addr) ([]byte, error) {
	if err := checkPair(from, target); err != nil {
		return nil, fmt.Errorf("neighbor probe: %w", err)
	}
	if target.Is4() {
		return arpRequest(src, dst, src, from, target)
	}
	return solicitation(src, dst, src, from, target)
}

// Correction returns a frame that makes the host dst record ip at owner: a request for
// the own address of dst with ip as its sender. The receiver of a request records its
// sender at once, in place of the previous entry (RFC 826, "Packet Reception"; RFC 4861
// section 7.2.3), and replies to owner. Linux does so even with drop_gratuitous_arp and
// drop_unsolicited_na, which drop announcements. It is an error if own is not a unicast
// address of the family of ip, or if dst or owner is not the address of one host.
func Correction(src, dst, owner ether.MAC, ip, own netip.Addr) ([]byte, error) {
	err := checkPair(ip, own)
	if err == nil {
		err = checkDestination(dst)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("correction: %w", err)
	case !owner.Unicast():
		return nil, fmt.Errorf("correction of %v: owner %v: expected a unicast MAC address", ip, owner)
	case ip.Is4():
		return arpRequest(src, dst, owner, ip, own)
	}
	return solicitation(src, dst, owner, ip, own)
}

// Announcement returns the frames that announce ip at the link-layer address owner to
// dst: to all hosts with ether.Broadcast, or to one client by unicast. Their source
// address is src.
//
// For IPv4 they are two gratuitous ARP packets, a request and a reply: some kernels
// accept only the one, some only the other. For IPv6 it is one unsolicited neighbor
// advertisement with the override flag and the source from; IPv4 does not use from. The
// destination of the advertisement is the address of the one client if it is known, or
// else the all-nodes address, also in a unicast frame (RFC 6085).
func Announcement(src, dst, owner ether.MAC, ip, from, client netip.Addr) ([][]byte, error) {
	if err := checkUnicast("address", ip); err != nil {
		return nil, fmt.Errorf("announcement: %w", err)
	}
	if !owner.Unicast() {
		return nil, fmt.Errorf("announcement of %v: owner %v: expected a unicast MAC address", ip, owner)
	}
	if ip.Is4() {
		return gratuitousARP(src, dst, owner, ip)
	}
	if err := checkUnicast("source", from); err != nil || !from.Is6() {
		return nil, fmt.Errorf("announcement of %v: source %v: expected an IPv6 address of our own", ip, from)
	}
	if dst != ether.Broadcast && client.IsValid() && !client.Is6() {
		return nil, fmt.Errorf("announcement of %v: client %v: expected an IPv6 address", ip, client)
	}
	frame, err := unsolicitedAdvertisement(src, dst, owner, ip, from, client)
	if err != nil {
		return nil, err
	}
	return [][]byte{frame}, nil
}

// Reply returns an ARP reply or a solicited neighbor advertisement that tells the client
// dst that ip is at owner, although the client has sent no request. Linux accepts it for
// an existing neighbor entry that is older than a second, even where it drops
// announcements, and creates no entry. The errors are those of Correction.
func Reply(src, dst, owner ether.MAC, ip, client netip.Addr) ([]byte, error) {
	err := checkPair(ip, client)
	if err == nil {
		err = checkDestination(dst)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("reply: %w", err)
	case !owner.Unicast():
		return nil, fmt.Errorf("reply about %v: owner %v: expected a unicast MAC address", ip, owner)
	case ip.Is4():
		return arpReply(src, dst, owner, ip, client)
	}
	return ndFrame(src, dst, ip, client, advertisement(owner, ip, true))
}

// AnswerTo returns the reply to p, an ARP request or a neighbor solicitation, with owner
// as the link-layer address of the target. Its source address is src. It is an error if p
// is of another kind or names no sender to reply to.
func AnswerTo(p *Packet, src, owner ether.MAC) ([]byte, error) {
	if !owner.Unicast() {
		return nil, fmt.Errorf("answer: owner %v: expected a unicast MAC address", owner)
	}
	switch p.Kind {
	case ARPRequest:
		return arpAnswer(p, src, owner)
	case NeighborSolicitation:
		return solicitedAdvertisement(p, src, owner)
	}
	return nil, fmt.Errorf("answer: %v from %v: expected an arp request or a neighbor solicitation", p.Kind, p.Src)
}

// checkUnicast returns an error if ip is not the address of one host.
func checkUnicast(field string, ip netip.Addr) error {
	switch {
	case !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.Is4In6():
		return fmt.Errorf("%s %v: expected a unicast address", field, ip)
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s %v: expected a unicast address, found the broadcast address", field, ip)
	}
	return nil
}

// checkPair returns an error if from and target cannot be the two ends of a packet.
func checkPair(from, target netip.Addr) error {
	if err := checkUnicast("target", target); err != nil {
		return err
	}
	if err := checkUnicast("source", from); err != nil {
		return err
	}
	if from.Is4() != target.Is4() {
		return fmt.Errorf("source %v and target %v: expected one address family", from, target)
	}
	return nil
}

// arpFields are the fields in which the ARP packets of this package differ.
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

// arpRequest requests the address of target. The target hardware address is unknown, so
// it is zero (RFC 5227 section 2.1.1).
func arpRequest(src, dst, sender ether.MAC, from, target netip.Addr) ([]byte, error) {
	return arpFrame(src, dst, arpFields{
		op:        arp.OperationRequest,
		senderMAC: sender, senderIP: from,
		targetIP: target,
	})
}

// gratuitousARP announces ip at owner, in a request (an ARP announcement: RFC 5227
// section 2.3) and in a reply. The reply has owner as its target too: only then does
// Linux treat it as gratuitous. It ignores any other reply until the neighbor entry is a
// second old.
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

// arpAnswer returns the reply to the request p (RFC 826, "Packet Reception"). It goes to
// the sender hardware address in the request.
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

// allNodes is ff02::1 (RFC 4291 section 2.7.1).
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

// solicitation solicits target: in its solicited-node group, or from the machine dst
// alone, as for the test of reachability (RFC 4861 section 7.3.3). The source link-layer
// option of from is sender.
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

// unsolicitedAdvertisement announces target at owner (RFC 4861 section 7.2.6). The
// override flag replaces the entries of the neighbors. The router flag is clear, because
// routers are never claimed.
func unsolicitedAdvertisement(src, dst, owner ether.MAC, target, from, client netip.Addr) ([]byte, error) {
	to := client
	if dst == ether.Broadcast {
		to, dst = allNodes(), multicastMAC(allNodes())
	} else if !client.IsValid() {
		to = allNodes()
	}
	return ndFrame(src, dst, from, to, advertisement(owner, target, false))
}

// solicitedAdvertisement replies to the solicitation p (RFC 4861 section 7.2.4). A
// solicitation from the unspecified address is duplicate address detection by another
// host, which has no address yet: the reply goes to all nodes with the solicited flag
// clear.
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
