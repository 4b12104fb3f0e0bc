package lan

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

// Interest is what the reader of one interface receives besides ARP and neighbor
// discovery, which it always receives.
//
// The kernel filter drops the rest, and never a wanted frame. It may pass other frames:
// it compares 31 bits of an address, so the reader compares again. A set that is too
// large for a kernel filter (some 3,000 entries in all) costs CPU time, not packets: the
// filter then passes every packet of the family that is not for one of Own, or every
// frame if the set was MACs.
type Interest struct {
	Own   []netip.Addr // the addresses of the host: packets to them are not wanted, even if in Addrs
	MACs  []ether.MAC  // IP packets from these machines are wanted, to any destination
	Addrs []netip.Addr // packets to these addresses are wanted
	Sent  []netip.Addr // packets of the host itself to these addresses are wanted (see Outgoing)
}

// Offsets in an untagged frame.
const (
	offSrcLow   = 8                           // the low 32 bits of the source address
	offType     = 12                          // EtherType
	offTag      = 14                          // 802.1Q tag
	offDst4     = ethernetHeader + 16         // IPv4 destination
	offNext6    = ethernetHeader + 6          // IPv6 next header
	offDst6     = ethernetHeader + 24         // IPv6 destination
	offDst6Low  = offDst6 + 12                // its low 32 bits
	offICMPType = ethernetHeader + ipv6Header // of an ICMPv6 message without extension headers
)

const (
	maxInstructions = 4096 // BPF_MAXINSNS of linux/bpf_common.h
	maxOwn          = 32   // own addresses in the filter; more cost CPU time only
)

// sets are the sets of an Interest as sorted keys, and which of them are left out because
// they are too large.
type sets struct {
	own4                 []uint32
	own6                 [][4]uint32
	macs, addrs4, addrs6 []uint32
	anyMAC, any4, any6   bool

	// For frames that the host itself sends, of which only IP packets are wanted.
	// Otherwise for frames that it receives.
	outgoing bool
}

// prologue drops frames of the wrong direction. It uses ancillary data of the kernel, so
// the VM of package bpf cannot run it.
func (s *sets) prologue() []bpf.Instruction {
	// A flooded frame to the address of another host has the type PACKET_OTHERHOST: a
	// NIC without promiscuous mode drops it. The types above it, PACKET_OUTGOING first,
	// are not from the network.
	direction := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 4},
	}
	if s.outgoing {
		direction = []bpf.Instruction{
			bpf.LoadExtension{Num: bpf.ExtType},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 6},
			bpf.LoadExtension{Num: bpf.ExtMark},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: ownMark, SkipTrue: 4},
		}
	}
	return append(direction,
		// The kernel removes a VLAN tag from the frame. VID 0 is a priority tag, and
		// any other VID belongs to a VLAN interface.
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtVLANTag},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: vidMask, SkipFalse: 1},
		bpf.RetConstant{Val: 0},
	)
}

// program returns the kernel filter for s with at most limit instructions. whole is false
// if a set is left out for that.
func (s sets) program(limit int) (program []bpf.RawInstruction, whole bool, err error) {
	prologue := s.prologue()
	body, whole := s.body(limit - len(prologue))
	program, err = bpf.Assemble(append(prologue, body...))
	if err != nil {
		return nil, false, fmt.Errorf("kernel filter: %w", err)
	}
	return program, whole, nil
}

// body returns the part of the filter that examines the frame itself. To keep to limit
// instructions it leaves out sets: addresses first, the larger family before the smaller,
// because the stage of the MACs guards the other traffic of the host.
func (s sets) body(limit int) (code []bpf.Instruction, whole bool) {
	for {
		code := s.assemble()
		switch {
		case len(code) <= limit || s.anyMAC:
			return code, !s.any4 && !s.any6 && !s.anyMAC
		case s.any4 && s.any6:
			s.anyMAC = true
		case s.any6 || !s.any4 && len(s.addrs4) >= len(s.addrs6):
			s.any4 = true
		default:
			s.any6 = true
		}
	}
}

func (s *sets) assemble() []bpf.Instruction {
	var a assembler
	if s.anyMAC {
		a.accept()
		return a.code
	}
	a.emit(bpf.LoadAbsolute{Off: offType, Size: 2})
	if s.outgoing {
		a.stage(unix.ETH_P_IP, s.stage4)
		a.stage(unix.ETH_P_IPV6, s.destinations6)
		a.drop()
		return a.code
	}
	// A network card may send frames of other types by itself (LLDP, LACP,
	// EAPOL) while its machine sleeps.
	a.emit(
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_8021Q, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_ARP, SkipTrue: 1},
	)
	a.accept()
	a.drop()
	if len(s.macs) > 0 {
		a.emit(
			bpf.TAX{},
			bpf.LoadAbsolute{Off: offSrcLow, Size: 4},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: keyMask},
		)
		a.search(s.macs)
		a.emit(bpf.TXA{})
	}
	a.stage(unix.ETH_P_IP, s.stage4)
	a.stage(unix.ETH_P_IPV6, s.stage6)
	a.stage(unix.ETH_P_8021Q, stageTag)
	a.drop()
	return a.code
}

// stage runs body on frames of etherType, which is in register A, and drops what body
// does not accept. Other frames skip it.
func (a *assembler) stage(etherType uint32, body func(*assembler)) {
	a.emit(bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherType, SkipTrue: 1})
	next := a.jump()
	body(a)
	a.drop()
	a.land(next)
}

// stage4 accepts packets to addrs4.
func (s *sets) stage4(a *assembler) {
	if len(s.addrs4) == 0 && !s.any4 {
		return
	}
	a.emit(bpf.LoadAbsolute{Off: offDst4, Size: 4})
	// For one leaf a search is as fast as a test for own addresses.
	if s.any4 || len(s.addrs4) > leafKeys {
		for _, own := range s.own4 {
			a.emit(bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: own, SkipTrue: 1})
			a.drop()
		}
	}
	if s.any4 {
		a.accept()
		return
	}
	a.emit(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: keyMask})
	a.search(s.addrs4)
}

// stage6 accepts solicitations, advertisements and packets to addrs6.
func (s *sets) stage6(a *assembler) {
	a.emit(
		bpf.LoadAbsolute{Off: offNext6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 4},
		bpf.LoadAbsolute{Off: offICMPType, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(ipv6.ICMPTypeNeighborSolicitation), SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(ipv6.ICMPTypeNeighborAdvertisement), SkipTrue: 1},
	)
	a.accept()
	s.destinations6(a)
}

// destinations6 accepts packets to addrs6.
func (s *sets) destinations6(a *assembler) {
	if len(s.addrs6) == 0 && !s.any6 {
		return
	}
	if s.any6 || len(s.addrs6) > leafKeys {
		for _, own := range s.own6 {
			a.dropDst6(own)
		}
	}
	if s.any6 {
		a.accept()
		return
	}
	a.emit(
		bpf.LoadAbsolute{Off: offDst6Low, Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: keyMask},
	)
	a.search(s.addrs6)
}

// dropDst6 drops packets to one IPv6 address. It compares all 128 bits: fe80::1 and
// 2001:db8::1 have the same low half, and one may be an own address, the other claimed.
func (a *assembler) dropDst6(ip [4]uint32) {
	for i := 3; i >= 0; i-- { // the low half differs most often
		a.emit(
			bpf.LoadAbsolute{Off: offDst6 + uint32(i)*4, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: ip[i], SkipTrue: uint8(2*i + 1)},
		)
	}
	a.drop()
}

// stageTag accepts frames with a second priority tag: the kernel has removed the first
// one, so they are too rare to examine further.
func stageTag(a *assembler) {
	a.emit(
		bpf.LoadAbsolute{Off: offTag, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: vidMask, SkipTrue: 1},
	)
	a.accept()
}

// sets returns the sets of in as keys without duplicates.
func (in Interest) sets() (s sets) {
	own := make(map[netip.Addr]bool, len(in.Own))
	for _, ip := range in.Own {
		ip = plain(ip)
		own[ip] = true
		switch {
		case ip.Is4() && len(s.own4) < maxOwn:
			b := ip.As4()
			s.own4 = append(s.own4, binary.BigEndian.Uint32(b[:]))
		case ip.Is6() && len(s.own6) < maxOwn:
			s.own6 = append(s.own6, words(ip))
		}
	}
	for _, mac := range in.MACs {
		s.macs = append(s.macs, macKey(mac))
	}
	for _, ip := range in.Addrs {
		ip = plain(ip)
		switch {
		case own[ip]:
		case ip.Is4():
			s.addrs4 = append(s.addrs4, addrKey(ip))
		case ip.Is6():
			s.addrs6 = append(s.addrs6, addrKey(ip))
		}
	}
	for _, keys := range []*[]uint32{&s.macs, &s.addrs4, &s.addrs6} {
		slices.Sort(*keys)
		*keys = slices.Compact(*keys)
	}
	return s
}

// plain returns ip as it appears in a packet.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// words returns the 32-bit words of an IPv6 address.
func words(ip netip.Addr) (w [4]uint32) {
	b := ip.As16()
	for i := range w {
		w[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	return w
}

// macKey and addrKey return the low 31 bits of an address.
func macKey(mac ether.MAC) uint32  { return binary.BigEndian.Uint32(mac[2:]) & keyMask }
func addrKey(ip netip.Addr) uint32 { b := ip.As16(); return binary.BigEndian.Uint32(b[12:]) & keyMask }
