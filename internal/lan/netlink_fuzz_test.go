package lan

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// FuzzParseLink: what is said of a link is read, whatever else is; and what is cut
// off or garbage is an error, or a link.
func FuzzParseLink(f *testing.F) {
	f.Add(uint32(7), uint32(unix.IFF_UP|unix.IFF_RUNNING), uint16(unix.ARPHRD_ETHER), "eth0", []byte{2, 0, 0, 0, 0, 1}, uint32(1500), uint16(99), []byte("x"))
	f.Add(uint32(1), uint32(0), uint16(unix.ARPHRD_LOOPBACK), "", []byte{}, uint32(0), uint16(unix.IFLA_MTU), []byte{1})
	f.Fuzz(func(t *testing.T, index, flags uint32, kind uint16, name string, mac []byte, mtu uint32, otherType uint16, other []byte) {
		if otherType &= 0x3fff; otherType == unix.IFLA_IFNAME || otherType == unix.IFLA_ADDRESS || otherType == unix.IFLA_MTU || otherType == unix.IFLA_LINKINFO {
			otherType = unix.IFLA_IFALIAS
		}
		head := make([]byte, unix.SizeofIfInfomsg)
		binary.NativeEndian.PutUint16(head[2:], kind)
		binary.NativeEndian.PutUint32(head[4:], index)
		binary.NativeEndian.PutUint32(head[8:], flags)
		info, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.IFLA_INFO_KIND, Data: []byte("ifb\x00")}})
		if err != nil {
			t.Fatal(err)
		}
		body, err := netlink.MarshalAttributes([]netlink.Attribute{
			{Type: unix.IFLA_IFNAME, Data: append([]byte(name), 0)},
			{Type: otherType, Data: other},
			{Type: unix.IFLA_ADDRESS, Data: mac},
			{Type: unix.IFLA_MTU, Data: binary.NativeEndian.AppendUint32(nil, mtu)},
			{Type: unix.IFLA_LINKINFO, Data: info},
		})
		if err != nil {
			return // an attribute that is too long
		}
		data := append(head, body...)
		got, gotKind, err := parseLink(data)
		if err != nil {
			t.Fatal(err)
		}
		want := &net.Interface{Index: int(index), MTU: int(mtu), Name: strings.TrimRight(name, "\x00"), HardwareAddr: mac}
		if flags&unix.IFF_UP != 0 {
			want.Flags |= net.FlagUp
		}
		if flags&unix.IFF_RUNNING != 0 {
			want.Flags |= net.FlagRunning
		}
		if flags&unix.IFF_LOOPBACK != 0 {
			want.Flags |= net.FlagLoopback
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || gotKind != kind {
			t.Errorf("type %d, want %d; link (-want +got):\n%s", gotKind, kind, diff)
		}
		if got, err := linkKind(data); err != nil || got != "ifb" {
			t.Errorf("kind %q, error %v", got, err)
		}
		for _, garbage := range [][]byte{data[:len(data)-1], append(slices.Clone(head), other...), other} {
			link, _, err := parseLink(garbage)
			if (link == nil) != (err != nil) {
				t.Errorf("link %+v, error %v", link, err)
			}
			if link != nil {
				_, _ = linkKind(garbage)
			}
		}
	})
}

// FuzzEntries: whatever a table says, what is made of it can be relied upon.
func FuzzEntries(f *testing.F) {
	f.Add(addrEntry(f, 7, "10.77.0.2/24"))
	f.Add(addrEntry(f, 7, "fd77::2/64"))
	f.Add(append(marshalled(f, &rtnetlink.AddressMessage{Family: unix.AF_INET, PrefixLength: 129, Index: 7}), addrEntry(f, 7, "10.77.0.2/24")[8:]...))
	f.Add(marshalled(f, &rtnetlink.RouteMessage{Family: unix.AF_INET, Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST,
		Attributes: rtnetlink.RouteAttributes{OutIface: 7, Gateway: net.IPv4(10, 77, 0, 1).To4()}}))
	f.Add(marshalled(f, neighborMessage(7, netip.MustParseAddr("fd77::1"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		index := 7
		if addresses, err := decode[rtnetlink.AddressMessage]([][]byte{data}, nil); err == nil {
			n := Network{Prefixes: prefixes(addresses, index), OnLink: onLink(addresses, nil, index)}
			for _, p := range n.Prefixes {
				if !p.IsValid() || !n.Own(p.Addr()) || !n.Contains(p.Addr()) {
					t.Errorf("own prefix %v", p)
				}
				if p.Addr().Is4() && p.Bits() < 31 && !n.IsBroadcast(lastAddr(p)) {
					t.Errorf("%v of %v is no broadcast address", lastAddr(p), p)
				}
				if from, ok := n.SourceFor(p.Addr()); !ok || from.Is4() != p.Addr().Is4() {
					t.Errorf("speaks from %v to %v", from, p.Addr())
				}
			}
			ours, others := obstacles(addresses, index)
			for ip := range ours {
				if _, both := others[ip]; both {
					t.Errorf("%v is ours and the host's", ip)
				}
			}
		}
		if routes, err := decode[route]([][]byte{data}, nil); err == nil {
			for _, ip := range gateways(routes, index) {
				if !ip.IsValid() {
					t.Errorf("a gateway that is no address")
				}
			}
			for _, p := range onLink(nil, routes, index) {
				if !p.IsValid() || p != p.Masked() || p.Addr().IsMulticast() || p.Bits() < defaultBits {
					t.Errorf("%v is on the link", p)
				}
			}
			if out, ok := defaultRoute(routes); ok && out == 0 {
				t.Error("a default route by no interface")
			}
		}
		if all, err := decode[rtnetlink.NeighMessage]([][]byte{data}, nil); err == nil {
			for _, e := range entriesOf(all, index) {
				if !e.ip.IsValid() || !e.hasMAC && e.mac != (ether.MAC{}) {
					t.Errorf("neighbor %+v", e)
				}
			}
		}
	})
}
