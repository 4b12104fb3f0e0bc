package cli

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/registration"
)

// hostNetworks are the networks of the interfaces that the daemon would use.
type hostNetworks struct {
	networks []lan.Network
	own      []netip.Addr // addresses of this host, on all its interfaces
	macs     []ether.MAC
	all      bool // each interface exists and could be read
}

// readHostNetworks reads the networks from the kernel. checkInterfaces reports interfaces
// that cannot be read.
func readHostNetworks(conf *config.Config) (hostNetworks, error) {
	own, err := lan.HostAddrs()
	if err != nil {
		return hostNetworks{}, fmt.Errorf("read the host's addresses: %w", err)
	}
	macs, err := lan.HostMACs()
	if err != nil {
		return hostNetworks{}, fmt.Errorf("read the host's interfaces: %w", err)
	}
	h := hostNetworks{own: own, macs: macs, all: true}
	names, err := watchedInterfaces(conf)
	if err != nil {
		return hostNetworks{own: own, macs: macs}, nil
	}
	for _, name := range names {
		var n lan.Network
		ifi, err := net.InterfaceByName(name)
		if err == nil {
			n, err = lan.ReadNetwork(ifi.Index)
		}
		if err != nil || len(n.Prefixes) == 0 {
			h.all = false // its network is unknown
			continue
		}
		h.networks = append(h.networks, n)
	}
	return h, nil
}

func (h hostNetworks) any(is func(lan.Network) bool) bool { return slices.ContainsFunc(h.networks, is) }

// Own, Gateway, Broadcast and Anycast implement registration.Addresses.
func (h hostNetworks) Own(ip netip.Addr) bool { return slices.Contains(h.own, ip) }

func (h hostNetworks) Gateway(ip netip.Addr) bool {
	return h.any(func(n lan.Network) bool { return slices.Contains(n.Gateways, ip) })
}

func (h hostNetworks) Broadcast(ip netip.Addr) bool {
	return h.any(func(n lan.Network) bool { return n.IsBroadcast(ip) })
}

func (h hostNetworks) Anycast(ip netip.Addr) bool {
	return h.any(func(n lan.Network) bool { return n.IsAnycast(ip) })
}

// mayContain reports whether a machine can have ip. It can if a network is unknown.
func (h hostNetworks) mayContain(ip netip.Addr) bool {
	return !h.all || h.any(func(n lan.Network) bool { return n.MayContain(ip) })
}

// describe names the interfaces with their networks.
func (h hostNetworks) describe() string {
	var names []string
	for _, n := range h.networks {
		names = append(names, n.Name+" "+strings.Join(prefixesOf(n.Name), " "))
	}
	return strings.Join(names, ", ")
}

// checkAddresses finds addresses of the machines that cannot be claimed in this host's
// networks, and MAC addresses that are this host's own. Neither is an error of the
// configuration: the network may change, and another host may read the file.
func checkAddresses(conf *config.Config, origins *config.Origins) []finding {
	const what = "machines"
	if len(conf.Machines) == 0 {
		return nil
	}
	h, err := readHostNetworks(conf)
	if err != nil {
		return []finding{{what: what, err: err}}
	}
	var wrong []finding
	addresses := 0
	for i, spec := range conf.Machines {
		if mac := origins.MACOf(i); slices.Contains(h.macs, spec.MAC) {
			wrong = append(wrong, finding{what: mac.Key, err: ownMAC(spec.MAC, mac.Origin, "the machine")})
		}
		settings := origins.AddressesOf(i, spec)
		for k, a := range spec.Monitor {
			addresses++
			err := h.check(a.IP, settings[k].Origin)
			if a.Guest() && slices.Contains(h.macs, a.MAC) {
				err = ownMAC(a.MAC, settings[k].Origin, "the guest")
			}
			if err != nil {
				wrong = append(wrong, finding{what: settings[k].Key, err: err})
			}
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return []finding{{what: what, text: fmt.Sprintf("%s, %s", plural(len(conf.Machines), "machine"), addressCount(addresses))}}
}

func addressCount(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}

// ownMAC is the error for a MAC address of the configuration that this host has.
func ownMAC(mac ether.MAC, origin, of string) error {
	return fmt.Errorf("found %s (%s), that of an interface of this host: expected the MAC address of %s", mac, origin, of)
}

// check returns an error unless a machine can have ip.
func (h hostNetworks) check(ip netip.Addr, origin string) error {
	if why := registration.Forbidden(ip, h); why != "" {
		return fmt.Errorf("found %s (%s), %s: expected an address of the machine", ip, origin, why)
	}
	if !h.mayContain(ip) {
		return fmt.Errorf("found %s (%s): expected an address in a network of %s", ip, origin, h.describe())
	}
	return nil
}
