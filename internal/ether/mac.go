// Package ether has the Ethernet address: a comparable value that keys maps.
package ether

import (
	"encoding/hex"
	"fmt"
	"net"
)

// MAC is an Ethernet address. Unlike net.HardwareAddr it is comparable, so
// that it can key a map, and always six bytes long.
type MAC [6]byte

// Broadcast is the Ethernet broadcast address.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// ParseMAC reads six bytes in hexadecimal, separated by colons or dashes
// ("d8:cb:8a:39:be:a1"). It accepts any address, also group addresses; see
// Unicast.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	if len(s) != 17 {
		return MAC{}, macError(s)
	}
	sep := s[2]
	if sep != ':' && sep != '-' {
		return MAC{}, macError(s)
	}
	for i := range m {
		if i < 5 && s[3*i+2] != sep {
			return MAC{}, macError(s)
		}
		if _, err := hex.Decode(m[i:i+1], []byte(s[3*i:3*i+2])); err != nil {
			return MAC{}, macError(s)
		}
	}
	return m, nil
}

func macError(s string) error {
	return fmt.Errorf("%q is not a MAC address such as d8:cb:8a:39:be:a1", s)
}

// Unicast reports whether m can be the address of one machine: neither a group
// address (I/G bit, IEEE 802) nor all zeros.
func (m MAC) Unicast() bool { return m[0]&1 == 0 && m != MAC{} }

// HardwareAddr returns m in the form of package net. The result is a copy.
func (m MAC) HardwareAddr() net.HardwareAddr { return append(net.HardwareAddr(nil), m[:]...) }

// String returns m in lower case with colons.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(b []byte) error {
	v, err := ParseMAC(string(b))
	if err != nil {
		return err
	}
	*m = v
	return nil
}
