package registration

import (
	"fmt"
	"net/netip"
	"slices"

	"nightporter/internal/ether"
)

func monitorIP(i int) string { return fmt.Sprintf("monitor[%d].ip", i) }

// path returns the path of the i-th address, of monitor and guests together.
func (r *Request) path(i int) string {
	if i < len(r.Monitor) {
		return monitorIP(i)
	}
	return fmt.Sprintf("guests[%d].ip", i-len(r.Monitor))
}

// checkAddresses returns nil if no address is forbidden, or a *Refusal that names
// the first that is.
func checkAddresses(req Request, n Network) error {
	for i, a := range slices.Concat(req.Monitor, req.Guests) {
		if what := Forbidden(a.IP, n); what != "" {
			return Refuse(Refused, "%s: found %s, %s: expected an address of the machine", req.path(i), a.IP, what)
		}
		if what := foreignMAC(a.MAC, n); a.Guest() && what != "" {
			return Refuse(Refused, "%s: found %s at %s, %s: expected a guest of the machine", req.path(i), a.IP, a.MAC, what)
		}
	}
	return nil
}

// Forbidden returns why ip is never claimed under any trust, or "". To claim such an address
// would cut the LAN off from its router, or this host off from the LAN.
func Forbidden(ip netip.Addr, n Addresses) string {
	switch {
	case !ip.IsValid() || ip.IsUnspecified():
		return "the unspecified address"
	case ip.IsLoopback():
		return "a loopback address"
	case ip.IsMulticast():
		return "a multicast address"
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "the broadcast address" // limited broadcast, RFC 919 section 7
	case n.Own(ip):
		return "an address of the porter's own host"
	case n.Gateway(ip):
		return "a gateway's address"
	case n.Broadcast(ip):
		return "a broadcast or network address"
	case n.Anycast(ip):
		return "an anycast address"
	}
	return ""
}

// foreignMAC returns why a MAC is never a machine's, or "".
func foreignMAC(mac ether.MAC, n Network) string {
	switch {
	case n.OwnMAC(mac):
		return "an interface of the porter's own host"
	case n.GatewayMAC(mac):
		return "a gateway"
	}
	return ""
}
