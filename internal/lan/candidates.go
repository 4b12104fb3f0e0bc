package lan

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"nightporter/internal/ether"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// candidate is an interface of the host on which a porter might work.
type candidate struct {
	net.Interface
	ethernet bool
	kind     string // of a virtual interface, such as "bridge"
}

// inner are the kinds of Ethernet interfaces without a LAN of their own: the ends of
// tunnels, containers and virtual machines, and those that only queue or discard.
var inner = []string{"dummy", "erspan", "geneve", "gretap", "ifb", "ip6erspan", "ip6gretap", "tun", "veth", "vxlan"}

// InterfaceNames lists the interfaces of the host on which a porter can work, for an
// error message.
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

// linkKind returns the kind of a virtual interface from the attributes after a struct
// ifinfomsg that parseLink has accepted. It is empty for a network card.
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

// worthNaming returns the names of the interfaces that may lead to a LAN. Without any it
// returns those that are up, as in a container, and otherwise all but the loopback.
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

// NotReadyError says that an interface exists and cannot be used yet: it is down or has
// no address.
type NotReadyError struct{ text string }

// Error implements error.
func (e *NotReadyError) Error() string { return e.text }

// usable returns the interface if a porter can work on it.
func usable(name string) (ifi *net.Interface, err error) {
	err = withNetlink(func(c *rtnl) (err error) {
		ifi, err = c.usable(name)
		return err
	})
	return ifi, err
}

// ethernet returns an interface that can send frames.
func (c *rtnl) ethernet(name string) (*net.Interface, error) {
	ifi, kind, err := c.link(0, name)
	if errors.Is(err, ErrNoInterface) {
		return nil, fmt.Errorf("interface %q: %w; there are: %s", name, ErrNoInterface, c.interfaceNames())
	}
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	if kind != unix.ARPHRD_ETHER || len(ifi.HardwareAddr) != len(ether.MAC{}) {
		return nil, fmt.Errorf("interface %q is not Ethernet (link type %d): expected an Ethernet or Wi-Fi interface", name, kind)
	}
	if ifi.Flags&net.FlagUp == 0 {
		return nil, &NotReadyError{fmt.Sprintf("interface %q is down: bring it up with `ip link set %s up`", name, name)}
	}
	return ifi, nil
}

func (c *rtnl) usable(name string) (*net.Interface, error) {
	ifi, err := c.ethernet(name)
	if err != nil {
		return nil, err
	}
	addrs, err := c.addresses()
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	if !slices.ContainsFunc(addrs, func(m rtnetlink.AddressMessage) bool { return int(m.Index) == ifi.Index }) {
		return nil, &NotReadyError{fmt.Sprintf("interface %q has no IP address: give it one first", name)}
	}
	return ifi, nil
}
