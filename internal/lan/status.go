package lan

import (
	"errors"
	"fmt"
	"net"

	"nightporter/internal/ether"
)

// ErrNoInterface says that the host has no interface of a name.
var ErrNoInterface = errors.New("there is no such interface")

// Status is what the kernel says of an interface's link at one moment.
type Status struct {
	Index   int
	MAC     ether.MAC
	MTU     int
	Up      bool // it was not switched off
	Carrier bool // its cable, or what stands for one, leads somewhere
}

// ReadStatus asks the kernel about the interface name. Without one the error is
// ErrNoInterface.
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

// HostMACs returns the link-layer addresses of the host's interfaces, as far as
// they are like those of Ethernet.
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

// macOf returns a link's address; nought if it has none, or one of another kind.
func macOf(link *net.Interface) (mac ether.MAC) {
	if len(link.HardwareAddr) == len(mac) {
		mac = ether.MAC(link.HardwareAddr)
	}
	return mac
}
