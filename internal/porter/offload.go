package porter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// What is to be done about network cards that answer ARP requests and neighbour
// solicitations while their machine sleeps.

// offloadRemedy goes with the warning that such a machine is not claimed.
const offloadRemedy = `switch ARP offload and NS offload off for the machine's network card ` +
	`(Windows: Set-NetAdapterPowerManagement -Name NAME -ArpOffload Disabled -NSOffload Disabled, or the adapter's advanced properties; ` +
	`elsewhere in its driver or firmware), or set claim.override_offload: true`

// questioned is how many TCP services one round of questions asks at most. Where
// there are more, the next round goes on with the rest.
const questioned = 4

// interrogate asks a machine for what its network card does not answer. If nothing
// can be asked, its silence proves nothing, and it is taken for awake.
func (p *Porter) interrogate(r *entry, addrs []netip.Addr) {
	var failed error
	asked := false
	for _, ip := range addrs {
		err := r.nic.ping(r.watch.mac, ip)
		asked = asked || err == nil
		failed = errors.Join(failed, err)
	}
	var services []machine.Service
	for _, a := range r.watch.addrs {
		for _, d := range a.doors {
			if d.service.Protocol == machine.TCP && slices.Contains(addrs, a.ip) {
				services = append(services, d.service)
			}
		}
	}
	for range min(len(services), questioned) {
		r.nextAsked = (r.nextAsked + 1) % len(services)
		r.nic.ask(r.watch.mac, services[r.nextAsked])
	}
	if failed != nil {
		p.log.Debug("cannot question a machine", "machine", r, "err", failed)
	}
	if !asked {
		r.Handle(time.Now(), machine.Unprobed{})
	}
}

// discount tells the reader whether mere answers are to count.
func (r *entry) discount() {
	if r.watch != nil {
		r.watch.card.Store(r.CardAnswers())
	}
}

// heardAnswer takes an answer to our question. For a machine whose network card is
// known to answer it is a word of that card, unless the reader took it for the
// machine's because it did not know yet: then nobody is answered any more.
func (p *Porter) heardAnswer(r *entry, ip netip.Addr) {
	known := r.CardAnswers()
	_, silenced := r.silenced()
	p.tell(r, machine.Heard{Addr: ip, InUse: true, Answer: !known || !silenced})
	if !known {
		p.answered(r, ip)
	}
}

// heardPacket takes an IP packet from an address of the machine, which shows more
// than its network card's answer.
func (p *Porter) heardPacket(r *entry, ip netip.Addr) {
	p.tell(r, machine.Heard{Addr: ip, InUse: true})
	if r.CardAnswers() {
		p.answered(r, ip)
	}
}

// echo asks the machine itself for an echo reply.
func (n *nic) echo(mac machine.MAC, ip netip.Addr) error {
	source, ok := n.sourceNear(ip)
	if !ok {
		return fmt.Errorf("interface %s has no address to ask %s from", n.Name(), ip)
	}
	n.port++
	frame, err := lan.EchoProbe(n.MAC(), mac, source, ip, firstPort, n.port)
	if err != nil {
		return err
	}
	return n.Send(frame)
}

// mere reports whether p is nothing but the answer to a question of ours. Nobody
// announces anything to a single neighbour by an ARP reply, and an advertisement
// says itself that it was asked for (RFC 4861 section 4.4).
func (r *reader) mere(p *lan.Packet) bool {
	return p.Dst == r.responder.Self && (p.Kind == lan.ARPReply || p.Kind == lan.NeighborAdvertisement && p.Solicited)
}
