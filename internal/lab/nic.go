package lab

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
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

// watch is the network card: it reads until the LAN closes.
func (m *Machine) watch() {
	buf := make([]byte, frameBuffer)
	for {
		n, _, err := m.nic.ReadFrom(buf)
		if errors.Is(err, unix.ENETDOWN) {
			continue // once per power cut; the link comes back
		}
		if err != nil {
			if !errors.Is(err, net.ErrClosed) && m.lan.ctx.Err() == nil {
				m.log.add(Event{Kind: Failed, Detail: "network card: " + err.Error()})
			}
			return
		}
		m.handle(Frame{Data: buf[:n]})
	}
}

func (m *Machine) handle(f Frame) {
	mac := m.cardMAC()
	if transport, ok := parseMagic(f, mac, m.cfg.SecureOn); ok {
		m.onMagic(Event{Kind: MagicPacket, Transport: transport, Broadcast: f.Dst() != mac})
		return
	}
	if !m.speaksForItself() {
		return
	}
	answer, err := m.offload(f)
	if err == nil && answer != nil {
		err = m.writeFrame(m.nic, answer)
	}
	if err != nil && m.lan.ctx.Err() == nil {
		m.log.add(Event{Kind: Failed, Detail: "network card: " + err.Error()})
	}
}

// speaksForItself tells whether card or management firmware answer at present.
func (m *Machine) speaksForItself() bool {
	switch m.State() {
	case Asleep:
		return m.cfg.AnswersARPAsleep || m.cfg.Managed
	case Booting:
		return m.cfg.Managed
	}
	return false
}

// onMagic logs a magic packet and powers the machine on if that is due.
func (m *Machine) onMagic(e Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.magic++
	switch {
	case m.state != Asleep:
		e.Detail = "the machine is " + string(m.state)
	case m.hearing.misses(time.Now(), m.cfg.HalfDeaf):
		e.Detail = "missed"
	case m.ignore != 0:
		e.Detail = "ignored"
		if m.ignore > 0 {
			m.ignore--
		}
	default:
		e.Detail = "wakes the machine"
	}
	m.log.add(e)
	if e.Detail == "wakes the machine" {
		// It is asleep; only a closing LAN can object.
		_ = m.powerOn("by magic packet over " + string(e.Transport))
	}
}

// offload returns the answer of a card that speaks for its sleeping machine,
// or nil.
func (m *Machine) offload(f Frame) ([]byte, error) {
	if a, ok := parseARP(f); ok {
		if a.op != arpRequest || !m.owns(a.targetIP) {
			return nil, nil
		}
		reply := arpMessage{op: arpReply, senderMAC: m.mac, senderIP: a.targetIP, targetMAC: a.senderMAC, targetIP: a.senderIP}
		return reply.frame(a.senderMAC), nil
	}
	if m.cfg.Managed {
		if reply := m.echoReply(f); reply != nil {
			return reply, nil
		}
	}
	s, ok := parseSolicitation(f)
	if !ok || !m.owns(s.target) {
		return nil, nil
	}
	if s.src.IsUnspecified() {
		// Duplicate address detection is answered to all (RFC 4861, 7.2.4).
		all := netip.IPv6LinkLocalAllNodes()
		return advertisement(m.mac, s.target, all, multicastMAC(all), false)
	}
	return advertisement(m.mac, s.target, s.src, s.srcMAC, true)
}

func (m *Machine) owns(ip netip.Addr) bool {
	return slices.ContainsFunc(m.addresses(), func(p netip.Prefix) bool { return p.Addr() == ip })
}
