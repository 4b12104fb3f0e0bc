package lan

import (
	"encoding/binary"
	"errors"
	"fmt"

	"nightporter/internal/ether"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// PermanentMAC returns the built-in address of the network card of the interface name.
// For a bond it is that of the active card. It is the zero MAC if the kernel has none, as
// for a virtual interface or before Linux 5.6.
func PermanentMAC(name string) (mac ether.MAC, err error) {
	err = withNetlink(func(c *rtnl) (err error) {
		mac, err = c.permanent(linkQuery{name: name})
		return err
	})
	if err != nil {
		return ether.MAC{}, fmt.Errorf("interface %s: its permanent address: %w", name, err)
	}
	return mac, nil
}

func (c *rtnl) permanent(of linkQuery) (ether.MAC, error) {
	data, err := c.get(unix.RTM_GETLINK, unix.RTM_NEWLINK, of)
	if errors.Is(err, unix.ENODEV) {
		err = ErrNoInterface
	}
	if err != nil {
		return ether.MAC{}, err
	}
	mac, active, err := parsePermanent(data)
	if err == nil && active > 0 && of.index == 0 { // a bond cannot contain a bond
		return c.permanent(linkQuery{index: active})
	}
	return mac, err
}

// parsePermanent parses the permanent address of a link, and for a bond the index of its
// active interface.
func parsePermanent(data []byte) (mac ether.MAC, active int, err error) {
	if len(data) < unix.SizeofIfInfomsg {
		return mac, 0, fmt.Errorf("link: found an answer of %d octets, expected %d at least", len(data), unix.SizeofIfInfomsg)
	}
	attributes, err := netlink.NewAttributeDecoder(data[unix.SizeofIfInfomsg:])
	if err != nil {
		return mac, 0, err
	}
	for attributes.Next() {
		switch attributes.Type() {
		case unix.IFLA_PERM_ADDRESS:
			if b := attributes.Bytes(); len(b) == len(mac) && ether.MAC(b).Unicast() {
				mac = ether.MAC(b)
			}
		case unix.IFLA_LINKINFO:
			attributes.Nested(func(info *netlink.AttributeDecoder) (err error) {
				active, err = activeIn(info)
				return err
			})
		}
	}
	if err := attributes.Err(); err != nil {
		return ether.MAC{}, 0, err
	}
	return mac, active, nil
}

// activeIn returns the index of the active interface of a bond, or 0.
func activeIn(info *netlink.AttributeDecoder) (active int, err error) {
	bond := false
	for info.Next() {
		switch info.Type() {
		case unix.IFLA_INFO_KIND:
			bond = info.String() == "bond"
		case unix.IFLA_INFO_DATA: // follows the kind, which defines its content
			if !bond {
				continue
			}
			data, err := netlink.NewAttributeDecoder(info.Bytes())
			if err != nil {
				return 0, err
			}
			for data.Next() {
				if data.Type() == unix.IFLA_BOND_ACTIVE_SLAVE && len(data.Bytes()) == 4 {
					active = int(binary.NativeEndian.Uint32(data.Bytes()))
				}
			}
			if err := data.Err(); err != nil {
				return 0, err
			}
		}
	}
	return active, info.Err()
}
