package lan

import (
	"fmt"
	"net/netip"

	"nightporter/internal/ether"

	"github.com/mdlayher/ethernet"
)

// ethernetFrame puts an Ethernet header before payload, and pads the frame to
// the 60 octets that Ethernet asks for (IEEE 802.3, without the checksum).
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
// multicast address ip: 33:33 and its last four octets (RFC 2464, section 7).
func multicastMAC(ip netip.Addr) ether.MAC {
	b := ip.As16()
	return ether.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// NeighborProbe returns a frame that asks who has target: an ARP request with
// from as the sender address, or a neighbour solicitation with from as its
// source and src as its source link-layer option.
//
// It goes to the machine dst alone. With ether.Broadcast it goes to everybody:
// the ARP request as a broadcast, the solicitation to target's solicited-node
// group. It is an error if from is not an address to speak from (an ARP request
// without a sender address confuses the proxy-ARP tables of some access points),
// or if target is not a unicast address of the same family.
func NeighborProbe(src, dst ether.MAC, from, target netip.Addr) ([]byte, error) {
	if err := checkPair(from, target); err != nil {
		return nil, fmt.Errorf("neighbor probe: %w", err)
	}
	if target.Is4() {
		return arpRequest(src, dst, src, from, target)
	}
	return solicitation(src, dst, src, from, target)
}

// Correction returns a frame that has the one host dst know that ip is at owner: a
// question for the host's own address that seems to come from ip. Who is asked
// remembers the asker, at once and in place of what it knew (RFC 826, "Packet
// Reception"; RFC 4861, section 7.2.3), and answers to owner. Linux does so also where
// it takes no announcement (drop_gratuitous_arp and drop_unsolicited_na). It is an
// error if own is no unicast address of ip's family, or if dst or owner is not the
// address of one host.
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

// Announcement returns the frames that tell dst that ip is at the link-layer
// address owner: everybody, with ether.Broadcast, or one client in frames that
// nobody else receives. They leave from our own address src.
//
// For IPv4 they are two gratuitous ARP packets, in request and in reply form:
// some kernels take only the one, some only the other. For IPv6 it is one
// unsolicited neighbour advertisement with the override flag, which comes from our
// own address from; for IPv4 from is not used. The address of the one client, if
// it is known, becomes the destination of the advertisement; without one the
// all-nodes address serves, in a unicast frame too (RFC 6085).
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

// Reply returns the frame that tells the one client dst that ip is at owner, in the form
// of an answer to a question of the client's. Linux takes it where it has an entry for ip
// that is older than a second, also where it takes no announcement, and makes none. The
// errors are those of Correction.
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

// AnswerTo returns the frame that answers p, an ARP request or a neighbour
// solicitation, and says that what it asks for is at the link-layer address
// owner. It leaves from our own address src. It is an error if p is of another
// kind, or does not say whom to answer.
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

// checkUnicast says what is wrong with ip as the address of one host.
func checkUnicast(field string, ip netip.Addr) error {
	switch {
	case !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.Is4In6():
		return fmt.Errorf("%s %v: expected a unicast address", field, ip)
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s %v: expected a unicast address, found the broadcast address", field, ip)
	}
	return nil
}

// checkPair says what is wrong with from and target as the two ends of a packet.
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
