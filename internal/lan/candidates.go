package lan

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// candidate is an interface that a porter might be told to work on.
type candidate struct {
	net.Interface
	ethernet bool
	kind     string // of a virtual one, such as "bridge"
}

// inner are the kinds of Ethernet interfaces that lead to no LAN of their own: ends of
// tunnels, of containers and of virtual machines, and those that only queue or discard.
var inner = []string{"dummy", "erspan", "geneve", "gretap", "ifb", "ip6erspan", "ip6gretap", "tun", "veth", "vxlan"}

// InterfaceNames lists the interfaces of the host that a porter can work on, for an error.
func InterfaceNames() (names string) {
	err := withNetlink(func(c *rtnl) error {
		names = c.interfaceNames()
		return nil
	})
	if err != nil {
		return fmt.Sprintf("unknown (%v)", err)
	}
	return names
}

func (c *rtnl) interfaceNames() string {
	all, err := c.links()
	if err != nil {
		return fmt.Sprintf("unknown (%v)", err)
	}
	if names := worthNaming(all); len(names) > 0 {
		return strings.Join(names, ", ")
	}
	return "none"
}

// links returns all interfaces.
func (c *rtnl) links() ([]candidate, error) {
	entries, err := c.dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, linkQuery{})
	if err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	all := make([]candidate, len(entries))
	for i, b := range entries {
		link, arp, err := parseLink(b)
		if err != nil {
			return nil, err
		}
		if all[i].kind, err = linkKind(b); err != nil {
			return nil, err
		}
		all[i].Interface, all[i].ethernet = *link, arp == unix.ARPHRD_ETHER
	}
	return all, nil
}

// linkKind reads the kind of a virtual interface behind a struct ifinfomsg that
// parseLink has read. A card has none.
func linkKind(data []byte) (kind string, err error) {
	attributes, err := netlink.NewAttributeDecoder(data[unix.SizeofIfInfomsg:])
	if err != nil {
		return "", fmt.Errorf("kind of a link: %w", err)
	}
	for attributes.Next() {
		if attributes.Type() != unix.IFLA_LINKINFO {
			continue
		}
		attributes.Nested(func(info *netlink.AttributeDecoder) error {
			for info.Next() {
				if info.Type() == unix.IFLA_INFO_KIND {
					kind = info.String()
				}
			}
			return info.Err()
		})
	}
	if err := attributes.Err(); err != nil {
		return "", fmt.Errorf("kind of a link: %w", err)
	}
	return kind, nil
}

// worthNaming returns the names of those that may lead to a LAN. Without such, it
// returns those that are up, which a container has, and else all but the loopback.
func worthNaming(all []candidate) []string {
	up := func(c candidate) bool { return c.ethernet && c.Flags&(net.FlagUp|net.FlagRunning) != 0 }
	for _, fit := range []func(candidate) bool{
		func(c candidate) bool { return up(c) && !slices.Contains(inner, c.kind) },
		up,
		func(candidate) bool { return true },
	} {
		var names []string
		for _, c := range all {
			if c.Flags&net.FlagLoopback == 0 && fit(c) {
				names = append(names, c.Name)
			}
		}
		if len(names) > 0 {
			slices.Sort(names)
			return names
		}
	}
	return nil
}
