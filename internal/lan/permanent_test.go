package lan

import (
	"encoding/binary"
	"testing"

	"nightporter/internal/ether"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// linkSaid is a kernel's answer about a link, with the permanent address and, within
// a linkinfo of the kind, the interface that is active.
func linkSaid(tb testing.TB, permanent []byte, kind string, active uint32) []byte {
	tb.Helper()
	nested := func(attributes ...netlink.Attribute) []byte {
		b, err := netlink.MarshalAttributes(attributes)
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	data := nested(netlink.Attribute{Type: 1, Data: []byte{1}},
		netlink.Attribute{Type: unix.IFLA_BOND_ACTIVE_SLAVE, Data: binary.NativeEndian.AppendUint32(nil, active)})
	info := nested(netlink.Attribute{Type: unix.IFLA_INFO_KIND, Data: append([]byte(kind), 0)},
		netlink.Attribute{Type: unix.IFLA_INFO_DATA, Data: data})
	return append(make([]byte, unix.SizeofIfInfomsg), nested(
		netlink.Attribute{Type: unix.IFLA_ADDRESS, Data: []byte{2, 0, 0, 0, 0, 1}},
		netlink.Attribute{Type: unix.IFLA_PERM_ADDRESS, Data: permanent},
		netlink.Attribute{Type: unix.IFLA_LINKINFO, Data: info},
	)...)
}

func TestParsePermanent(t *testing.T) {
	own := ether.MAC{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa1}
	for what, tt := range map[string]struct {
		permanent []byte
		kind      string
		active    uint32
		want      ether.MAC
		wantIndex int
	}{
		"a card":                    {own[:], "none", 7, own, 0},
		"a bond":                    {nil, "bond", 7, ether.MAC{}, 7},
		"a bond without a card":     {nil, "bond", 0, ether.MAC{}, 0},
		"nothing":                   {nil, "veth", 7, ether.MAC{}, 0},
		"zeros":                     {make([]byte, 6), "none", 0, ether.MAC{}, 0},
		"a group":                   {[]byte{1, 0, 0, 0, 0, 1}, "none", 0, ether.MAC{}, 0},
		"InfiniBand's twenty bytes": {make([]byte, 20), "none", 0, ether.MAC{}, 0},
	} {
		mac, active, err := parsePermanent(linkSaid(t, tt.permanent, tt.kind, tt.active))
		if mac != tt.want || active != tt.wantIndex || err != nil {
			t.Errorf("%s: %v, %d, %v, want %v, %d", what, mac, active, err, tt.want, tt.wantIndex)
		}
	}
}

// A virtual interface has no address that was built in.
func TestPermanentMACOfNone(t *testing.T) {
	if mac, err := PermanentMAC("lo"); err != nil || mac != (ether.MAC{}) {
		t.Errorf("lo has %v, %v", mac, err)
	}
	if _, err := PermanentMAC("no-such-thing"); err == nil {
		t.Error("an interface that is not there has one")
	}
}

// FuzzParsePermanent: whatever the kernel says, an address is one of a card.
func FuzzParsePermanent(f *testing.F) {
	f.Add(linkSaid(f, []byte{2, 0, 0, 0, 0, 1}, "bond", 7))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		mac, _, err := parsePermanent(data)
		if mac != (ether.MAC{}) && (err != nil || !mac.Unicast()) {
			t.Errorf("%v, %v", mac, err)
		}
	})
}
