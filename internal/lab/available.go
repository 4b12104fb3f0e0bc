package lab

import (
	"errors"
	"fmt"
	"os"

	"nightporter/internal/ether"
	"nightporter/internal/netns"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// Available tries whether a LAN can be built here and, if not, says what is
// missing: privileges, a kernel module, IPv6, or a writable /proc/sys.
func Available() error {
	ns, err := netns.New()
	if err != nil {
		return explain(err)
	}
	err = ns.Netlink(func(c *rtnetlink.Conn) error { return tryParts(c, ns) })
	return errors.Join(err, ns.Close())
}

// tryParts makes one of each in ns, which takes them all with it.
func tryParts(c *rtnetlink.Conn, ns *netns.Namespace) error {
	if _, err := os.Stat(sysctlRoot + "/net/ipv6"); err != nil {
		return fmt.Errorf("the kernel has IPv6 switched off (ipv6.disable=1?): %w", err)
	}
	if err := writeSysctls(switchSettings()); err != nil {
		return fmt.Errorf("%s must be writable, as it is on a host and in a privileged container: %w", sysctlRoot, err)
	}
	if _, err := addBridge(c, "br0", bridgeMAC()); err != nil {
		return needModule("bridge", err)
	}
	cable := cable{near: "near", far: ns, farName: Interface, farMAC: ether.MAC{0x02, 0x77, 0, 0, 0, 1}}
	if err := cable.lay(c); err != nil {
		return needModule("veth", err)
	}
	conn, err := (&Host{name: "trial", ns: ns}).packetConn(unix.ETH_P_ALL, &packet.Config{})
	if err != nil {
		return needModule("af_packet", err)
	}
	return conn.Close()
}

func needModule(name string, err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("%w: the kernel lacks a module, try `modprobe %s`", err, name)
	}
	return explain(err)
}
