package machine

import "net/netip"

// What a Spec holds at most, registered or configured. Without bounds one machine
// could take the memory, the questions and the journal of all.
const (
	MaxServices  = 256 // (address, protocol, port)
	MaxAddresses = 256 // services or not
	MaxWakeFrom  = 256 // entries of WakeFrom

	// MaxWatts is beyond any machine that a magic packet wakes; it catches
	// milliwatts and slips of the finger.
	MaxWatts = 100_000
)

// IsHostAddress reports whether ip can be the address of one machine, in the one form
// that addresses are compared in: no zone, and not IPv4-mapped. What is forbidden on a
// network of ours besides is known only there.
func IsHostAddress(ip netip.Addr) bool {
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255}) // RFC 919 section 7
	return ip.IsValid() && ip.Zone() == "" && !ip.Is4In6() && !ip.IsUnspecified() && !ip.IsLoopback() && !ip.IsMulticast() && ip != broadcast
}

// CountServices returns how many services these addresses have.
func CountServices(monitor []Address) int {
	n := 0
	for _, a := range monitor {
		n += len(a.Ports)
	}
	return n
}
