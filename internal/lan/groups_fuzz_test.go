package lan

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// FuzzGroupsOf: a group that is in the kernel's list is found there, whatever else
// is in it.
func FuzzGroupsOf(f *testing.F) {
	const line = "2    eth0            ff0200000000000000000001ff1b2c3d     1 00000004 0\n"
	f.Add(line, "eth0", []byte("sixteen octets !"))
	f.Add(strings.Repeat(line, 3)+"\n2 eth0\n2 eth0 xyz\n2 eth0 ff02\n", "eth1", []byte{15: 1})
	f.Fuzz(func(t *testing.T, igmp6, name string, group []byte) {
		there := groupsOf(igmp6, name)
		for ip := range there {
			b := ip.AsSlice()
			if !ip.IsValid() || !strings.Contains(strings.ToLower(igmp6), hex.EncodeToString(b)) {
				t.Errorf("%v is not in the list", ip)
			}
		}
		if len(group) != 16 || name == "" || len(strings.Fields(name)) != 1 || strings.Fields(name)[0] != name {
			return
		}
		with := groupsOf(fmt.Sprintf("%s\n2 %s %x 1 00000004 0\n", igmp6, name, group), name)
		if !with[netip.AddrFrom16([16]byte(group))] || len(with) > len(there)+1 || len(with) < len(there) {
			t.Errorf("%d groups, and with %x there are %d", len(there), group, len(with))
		}
	})
}
