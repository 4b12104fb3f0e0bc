package machine

import (
	"fmt"
	"net/netip"
	"slices"

	"nightporter/internal/ether"
)

// Standing is the state of one address of a machine.
type Standing uint8

// The standings.
const (
	Own      Standing = iota // the machine has it
	Claimed                  // we answer for it
	Returned                 // the machine has it again; clients may still send to us
	Conceded                 // left to another host
	Waiting                  // it cannot be claimed at present
)

// Standings lists every standing.
var Standings = [...]Standing{Own, Claimed, Returned, Conceded, Waiting}

var standingNames = [...]string{"own", "claimed", "returned", "conceded", "waiting"}

// String returns the standing's name as the API shows it.
func (s Standing) String() string {
	if int(s) >= len(standingNames) {
		return "standing"
	}
	return standingNames[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s Standing) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Standing) UnmarshalText(b []byte) error {
	i := slices.Index(standingNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("standing: found %q, expected one of %v", b, Standings)
	}
	*s = Standing(i)
	return nil
}

// AddressStatus is the state of one address, and why it cannot be claimed.
type AddressStatus struct {
	IP       netip.Addr
	MAC      ether.MAC // of a virtual machine; zero: the machine's own
	Standing Standing
	Reason   string
}
