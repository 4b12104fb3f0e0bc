package lan

import (
	"fmt"
	"net/netip"
)

// Refusal is the reason why every host drops an IP packet, or Taken.
type Refusal uint8

// The refusals. Packet.Refusal never returns OwnSource, which needs more than the packet.
const (
	Taken       Refusal = iota
	BadSource           // the source is not the address of one host
	OwnSource           // the source is an address of the destination, or of this host
	NoHops              // the TTL or the hop limit is 0
	SourceRoute         // the packet has a source route
	BadOptions          // IPv4: malformed options
	BadChecksum         // IPv4: of the header
	Refusals            // the number of refusals
)

var refusalNames = [Refusals]string{
	"taken", "bad_source", "own_source", "no_hops", "source_route", "bad_options", "bad_checksum",
}

// String returns the refusal's name, fit for a metric label.
func (r Refusal) String() string {
	if r >= Refusals {
		return fmt.Sprintf("refusal(%d)", uint8(r))
	}
	return refusalNames[r]
}

// Refusal returns the reason why a kernel drops the IP packet p for one of its own
// addresses, as far as p itself shows it. Frames of other kinds are Taken.
//
// It always verifies the checksum of the IPv4 header: Packet.Sum is about the transport
// header. No kernel leaves the IPv4 header unfinished, and each verifies it (RFC 1122
// section 3.2.1.2).
func (p *Packet) Refusal() Refusal {
	switch {
	case !p.From.IsValid() || p.Kind < TCP: // ARP and neighbor discovery have other rules
		return Taken
	case !isSource(p.From):
		return BadSource
	case p.Network == 0: // no header
		return Taken
	case p.From.Is4():
		return refusal4(p.Frame[p.Network:])
	}
	return refusal6(p.Frame[p.Network:])
}

// isSource reports whether ip is valid as the source of a packet from another host. IPv4:
// RFC 1122 section 3.2.1.3, and RFC 1112 section 4 for 240.0.0.0/4, which contains the
// limited broadcast. IPv6: RFC 4291 sections 2.5.2, 2.5.3 and 2.7, and RFC 6890 section
// 2.2.3 for IPv4-mapped addresses.
func isSource(ip netip.Addr) bool {
	if ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback() || ip.Is4In6() {
		return false
	}
	if ip.Is4() {
		first := ip.As4()[0]
		return first != 0 && first < 240
	}
	return true
}

// refusal4 checks the IPv4 header at the beginning of b, whose length is valid.
func refusal4(b []byte) Refusal {
	header := b[:int(b[0]&0x0f)*4]
	switch {
	case checksum(header, 0) != 0: // the other fields are unreliable
		return BadChecksum
	case b[8] == 0: // routers drop it (RFC 791 section 3.1)
		return NoHops
	}
	switch routed, whole := readOptions(header[ipv4Header:]); {
	case routed: // hosts drop it by default (Linux, accept_source_route)
		return SourceRoute
	case !whole:
		return BadOptions
	}
	return Taken
}

// refusal6 checks the IPv6 packet at the beginning of b, whose length is valid.
func refusal6(b []byte) Refusal {
	if b[7] == 0 { // RFC 8200 section 3
		return NoHops
	}
	if !isExtension(b[6]) {
		return Taken
	}
	u := skipExtensions(b[:ipv6Header+int(be16(b[4:]))], b[6], ipv6Header)
	if u.rerouted || u.deprecated {
		return SourceRoute
	}
	return Taken
}

// Options of the IPv4 header (RFC 791 section 3.1).
const (
	optionEnd         = 0
	optionNothing     = 1
	optionLooseRoute  = 131
	optionStrictRoute = 137
)

// readOptions reports whether the options of an IPv4 header contain a source route: the
// checksums cover the last destination, which may be another. They are not whole if an
// option is shorter than its own header or reaches beyond the end.
func readOptions(options []byte) (routed, whole bool) {
	for len(options) > 0 && options[0] != optionEnd {
		length := 1
		if options[0] != optionNothing {
			if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
				return false, false
			}
			if options[0] == optionLooseRoute || options[0] == optionStrictRoute {
				return true, true
			}
			length = int(options[1])
		}
		options = options[length:]
	}
	return false, true
}
