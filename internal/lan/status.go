package lan

import (
	"errors"
	"fmt"
	"net"

	"nightporter/internal/ether"
)

// ErrNoInterface reports that the host has no interface of the given name or index.
var ErrNoInterface = errors.New("there is no such interface")

// Status is the state of the link of an interface at one moment, as the kernel reports
// it.
type Status struct {
	Index   int
	MAC     ether.MAC
	MTU     int
	Up      bool // the interface is enabled (IFF_UP)
	Carrier bool // the link is connected (IFF_RUNNING)
}

// ReadStatus reads the status of the interface name from the kernel. If there is none the
// error is ErrNoInterface.
func ReadStatus(name string) (Status, error) {
	var s Status
	err := withNetlink(func(c *rtnl) (err error) {
		s, err = c.status(name)
		return err
	})
	if err != nil {
		return Status{}, fmt.Errorf("interface %s: %w", name, err)
	}
	return s, nil
}

func (c *rtnl) status(name string) (Status, error) {
	link, _, err := c.link(0, name)
	if err != nil {
		return Status{}, err
	}
	return Status{
		Index: link.Index, MAC: macOf(link), MTU: link.MTU,
		Up: link.Flags&net.FlagUp != 0, Carrier: link.Flags&net.FlagRunning != 0,
	}, nil
}

// HostMACs returns the link-layer addresses of all interfaces of the host that have the
// length of an Ethernet address.
func HostMACs() ([]ether.MAC, error) {
	var macs []ether.MAC
	err := withNetlink(func(c *rtnl) error {
		all, err := c.links()
		for _, link := range all {
			if mac := macOf(&link.Interface); mac != (ether.MAC{}) {
				macs = append(macs, mac)
			}
		}
		return err
	})
	return macs, err
}

// macOf returns the address of a link, or the zero MAC if it has none of six octets.
func macOf(link *net.Interface) (mac ether.MAC) {
	if len(link.HardwareAddr) == len(mac) {
		mac = ether.MAC(link.HardwareAddr)
	}
	return mac
}
