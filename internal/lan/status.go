package lan

import (
	"errors"
	"fmt"
	"net"

	"nightporter/internal/machine"
)

// ErrNoInterface says that the host has no interface of a name.
var ErrNoInterface = errors.New("there is no such interface")

// Status is what the kernel says of an interface's link at one moment.
type Status struct {
	Index   int
	MAC     machine.MAC
	MTU     int
	Up      bool // it was not switched off
	Carrier bool // its cable, or what stands for one, leads somewhere
}

// ReadStatus asks the kernel about the interface name. Without one the error is
// ErrNoInterface.
func ReadStatus(name string) (Status, error) {
	all, err := net.Interfaces()
	if err != nil {
		return Status{}, fmt.Errorf("interface %s: %w", name, err)
	}
	for _, ifi := range all {
		if ifi.Name != name {
			continue
		}
		s := Status{Index: ifi.Index, MTU: ifi.MTU, Up: ifi.Flags&net.FlagUp != 0, Carrier: ifi.Flags&net.FlagRunning != 0}
		if len(ifi.HardwareAddr) == len(s.MAC) {
			s.MAC = machine.MAC(ifi.HardwareAddr)
		}
		return s, nil
	}
	return Status{}, fmt.Errorf("interface %s: %w", name, ErrNoInterface)
}
