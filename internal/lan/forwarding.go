package lan

import (
	"bytes"
	"net/netip"
	"os"
)

// Forwards reports whether our kernel forwards packets of ip's family that come in on
// the interface name.
func Forwards(name string, ip netip.Addr) bool {
	path := "/proc/sys/net/ipv4/conf/" + name + "/forwarding"
	if ip.Is6() {
		path = "/proc/sys/net/ipv6/conf/all/forwarding" // Linux looks at no other
	}
	b, err := os.ReadFile(path)
	return err == nil && !bytes.Equal(bytes.TrimSpace(b), []byte("0"))
}
