package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
	"nightporter/internal/wait"
)

// nicFilter lets through what a sleeping card can be interested in: ARP,
// magic packets, UDP and ICMPv6, with ping also ICMP, but nothing that the
// machine sends itself. An awake machine is to pay little for being watched.
func nicFilter(ping bool) ([]bpf.RawInstruction, error) {
	const typeAt, protocol4At, protocol6At = 12, 23, 20
	icmp := uint32(protocolUDP) // once more
	if ping {
		icmp = unix.IPPROTO_ICMP
	}
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 12},
		bpf.LoadAbsolute{Off: typeAt, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(ethernet.EtherTypeARP), SkipTrue: 9},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(EtherTypeWakeOnLAN), SkipTrue: 8},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(ethernet.EtherTypeIPv6), SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(ethernet.EtherTypeIPv4), SkipTrue: 7},
		bpf.LoadAbsolute{Off: protocol4At, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmp, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolUDP, SkipTrue: 3, SkipFalse: 4},
		bpf.LoadAbsolute{Off: protocol6At, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolUDP, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMPv6, SkipTrue: 1},
		bpf.RetConstant{Val: frameBuffer},
		bpf.RetConstant{Val: 0},
	})
}

// networkCard is what the card of a machine does by itself, with its firmware: it looks
// for magic packets in every state, and some answer and send while the machine sleeps.
type networkCard struct{ *Machine }

// watch reads until the LAN closes.
func (c networkCard) watch() {
	buf := make([]byte, frameBuffer)
	for {
		n, _, err := c.nic.ReadFrom(buf)
		if errors.Is(err, unix.ENETDOWN) {
			continue // once per power cut; the link comes back
		}
		if err != nil {
			if !errors.Is(err, net.ErrClosed) && c.lan.ctx.Err() == nil {
				c.log.add(Event{Kind: Failed, Detail: "network card: " + err.Error()})
			}
			return
		}
		c.handle(Frame{Data: buf[:n]})
	}
}

func (c networkCard) handle(f Frame) {
	mac := c.cardMAC()
	if transport, ok := parseMagic(f, mac, c.cfg.SecureOn); ok {
		c.onMagic(Event{Kind: MagicPacket, Transport: transport, Broadcast: f.Dst() != mac})
		return
	}
	if !c.answersNow() {
		return
	}
	answer, err := c.offload(f)
	if err == nil && answer != nil {
		err = c.writeFrame(c.nic, answer)
	}
	if err != nil && c.lan.ctx.Err() == nil {
		c.log.add(Event{Kind: Failed, Detail: "network card: " + err.Error()})
	}
}

// answersNow reports whether the card or its management firmware answers in the present
// state of the machine.
func (c networkCard) answersNow() bool {
	switch c.State() {
	case Asleep:
		return c.cfg.AnswersARPAsleep || c.cfg.Managed
	case Booting:
		return c.cfg.Managed
	}
	return false
}

// onMagic logs a magic packet and powers the machine on if that is due.
func (c networkCard) onMagic(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.magic++
	switch {
	case c.state != Asleep:
		e.Detail = "the machine is " + string(c.state)
	case c.hearing.misses(time.Now(), c.cfg.HalfDeaf):
		e.Detail = "missed"
	case c.ignore != 0:
		e.Detail = "ignored"
		if c.ignore > 0 {
			c.ignore--
		}
	default:
		e.Detail = "wakes the machine"
	}
	c.log.add(e)
	if e.Detail == "wakes the machine" {
		// It is asleep; only a closing LAN can object.
		_ = c.powerOn("by magic packet over " + string(e.Transport))
	}
}

// offload returns the answer of a card that answers for its sleeping machine,
// or nil.
func (c networkCard) offload(f Frame) ([]byte, error) {
	if a, ok := parseARP(f); ok {
		if a.op != arpRequest || !c.owns(a.targetIP) {
			return nil, nil
		}
		reply := arpMessage{op: arpReply, senderMAC: c.mac, senderIP: a.targetIP, targetMAC: a.senderMAC, targetIP: a.senderIP}
		return reply.frame(a.senderMAC), nil
	}
	if c.cfg.Managed {
		if reply := c.echoReply(f); reply != nil {
			return reply, nil
		}
	}
	s, ok := parseSolicitation(f)
	if !ok || !c.owns(s.target) {
		return nil, nil
	}
	if s.src.IsUnspecified() {
		// Duplicate address detection is answered to all (RFC 4861 section 7.2.4).
		all := netip.IPv6LinkLocalAllNodes()
		return advertisement(c.mac, s.target, all, multicastMAC(all), false)
	}
	return advertisement(c.mac, s.target, s.src, s.srcMAC, true)
}

func (c networkCard) owns(ip netip.Addr) bool {
	return slices.ContainsFunc(c.addresses(), func(p netip.Prefix) bool { return p.Addr() == ip })
}

const (
	icmpHeader     = 8
	icmpChecksumAt = 2
)

// echoReply returns what management firmware answers to a ping of one of its
// machine's addresses, or nil.
func (c networkCard) echoReply(f Frame) []byte {
	if f.Dst() != c.mac {
		return nil
	}
	switch f.EtherType() {
	case ethernet.EtherTypeIPv4:
		return c.echoReply4(f)
	case ethernet.EtherTypeIPv6:
		return c.echoReply6(f)
	}
	return nil
}

func (c networkCard) echoReply4(f Frame) []byte {
	b := f.Payload()
	if len(b) < ipv4Header+icmpHeader || b[0] != 0x45 || b[9] != unix.IPPROTO_ICMP || b[ipv4Header] != echoRequest4 {
		return nil
	}
	length := int(binary.BigEndian.Uint16(b[2:])) // what follows is padding
	if length < ipv4Header+icmpHeader || length > len(b) {
		return nil
	}
	b = slices.Clone(b[:length])
	src, dst := [4]byte(b[12:16]), [4]byte(b[16:20])
	if !c.owns(netip.AddrFrom4(dst)) {
		return nil
	}
	// The sum of the header stays: the addresses only change their places.
	copy(b[12:], dst[:])
	copy(b[16:], src[:])
	icmp := b[ipv4Header:]
	icmp[0] = echoReply4
	setChecksum(icmp, func() uint16 { return checksum(icmp) })
	return buildFrame(f.Src(), c.mac, ethernet.EtherTypeIPv4, b)
}

func (c networkCard) echoReply6(f Frame) []byte {
	b := f.Payload()
	if len(b) < ipv6Header+icmpHeader || b[6] != protocolICMPv6 || b[ipv6Header] != echoRequest6 {
		return nil
	}
	length := ipv6Header + int(binary.BigEndian.Uint16(b[4:]))
	if length < ipv6Header+icmpHeader || length > len(b) {
		return nil
	}
	b = slices.Clone(b[:length])
	src, dst := [16]byte(b[8:24]), [16]byte(b[24:40])
	if !c.owns(netip.AddrFrom16(dst)) {
		return nil
	}
	copy(b[8:], dst[:])
	copy(b[24:], src[:])
	icmp := b[ipv6Header:]
	icmp[0] = echoReply6
	setChecksum(icmp, func() uint16 { return checksum6(dst, src, protocolICMPv6, icmp) })
	return buildFrame(f.Src(), c.mac, ethernet.EtherTypeIPv6, b)
}

// setChecksum puts the sum of a message into it.
func setChecksum(icmp []byte, sum func() uint16) {
	icmp[icmpChecksumAt], icmp[icmpChecksumAt+1] = 0, 0
	binary.BigEndian.PutUint16(icmp[icmpChecksumAt:], sum())
}

// EtherTypes of protocols between a card and its switch.
const (
	EtherTypeLLDP  ethernet.EtherType = 0x88cc
	EtherTypeEAPOL ethernet.EtherType = 0x888e
	EtherTypeLACP  ethernet.EtherType = 0x8809
)

// The group addresses that bridges of IEEE 802.1Q forward at most to a few of
// their kind. Cheap switches forward them like any other, and so does the lab's:
// but for the first three, which Linux keeps.
const (
	groupEAPOL = 0x3
	groupLLDP  = 0xe
)

// groupsForwarded is what the lab's switch forwards, as a mask of the last digit.
func groupsForwarded() uint16 { return 1<<groupEAPOL | 1<<groupLLDP }

// GroupMAC returns 01:80:c2:00:00:0x.
func GroupMAC(x byte) ether.MAC { return ether.MAC{0x01, 0x80, 0xc2, 0, 0, x} }

// A Mutter is a frame that a card sends by itself while its machine
// sleeps. The zero Mutter is none.
type Mutter struct {
	Every   time.Duration // 0: never
	Dst     ether.MAC
	Type    ethernet.EtherType
	Payload []byte
}

// LLDP is what the firmware of some cards (Intel's X710) sends, whatever their
// machine does: the mandatory fields of IEEE 802.1AB.
func LLDP(every time.Duration) Mutter {
	field := func(kind byte, value ...byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(kind)<<9|uint16(len(value))), value...)
	}
	const chassis, port, ttl, end = 1, 2, 3, 0
	payload := field(chassis, append([]byte{7}, "card"...)...)
	payload = append(payload, field(port, append([]byte{7}, "0"...)...)...)
	payload = append(payload, field(ttl, 0, 121)...)
	payload = append(payload, field(end)...)
	return Mutter{Every: every, Dst: GroupMAC(groupLLDP), Type: EtherTypeLLDP, Payload: payload}
}

// EAPOL is the request for an authenticator (IEEE 802.1X, EAPOL-Start).
func EAPOL(every time.Duration) Mutter {
	return Mutter{Every: every, Dst: GroupMAC(groupEAPOL), Type: EtherTypeEAPOL, Payload: []byte{1, 1, 0, 0}}
}

// sendPeriodically sends the configured frame while the machine sleeps, until the LAN is
// closed.
func (c networkCard) sendPeriodically() {
	what := c.cfg.Mutter
	frame := buildFrame(what.Dst, c.mac, what.Type, what.Payload)
	for ctx := c.lan.ctx; wait.For(ctx, what.Every); {
		if c.State() == Asleep {
			c.send(ctx, frame)
		}
	}
}

func (c networkCard) send(ctx context.Context, frame []byte) {
	if err := c.writeFrame(c.nic, frame); err != nil && ctx.Err() == nil && c.State() == Asleep {
		c.log.add(Event{Kind: Failed, Detail: "network card: " + err.Error()})
	}
}

// roundGap is the longest pause between two magic packets of one round.
const roundGap = 100 * time.Millisecond

// hearing is what a network card misses of the magic packets to its machine.
type hearing struct {
	deafUntil time.Time
	last      time.Time // the latest magic packet
	rounds    int       // of magic packets since the machine fell asleep
}

// Deafen has the card of a sleeping machine miss every magic packet for a while,
// as many cards do in the first seconds after the power went.
func (m *Machine) Deafen(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hearing.deafUntil = time.Now().Add(d)
}

// misses notes a magic packet and reports whether the card misses it. With half it
// hears only every second round. The caller holds m.mu.
func (h *hearing) misses(now time.Time, half bool) bool {
	if now.Sub(h.last) > roundGap {
		h.rounds++
	}
	h.last = now
	return now.Before(h.deafUntil) || half && h.rounds%2 == 1
}
