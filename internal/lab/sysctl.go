package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

const sysctlRoot = "/proc/sys"

// A setting is one kernel parameter, its name with slashes as below /proc/sys.
type setting struct{ name, value string }

// writeSysctl sets a parameter in the namespace of the calling thread.
func writeSysctl(name, value string) error {
	file, err := sysctlFile(name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
		return fmt.Errorf("set sysctl %s to %q: %w", name, value, err)
	}
	return nil
}

// writeSysctls sets the parameters that have another value. The kernel restarts a write to
// disable_ipv6 for as long as another namespace holds the RTNL lock, which keeps a
// processor busy: labs side by side must not write it without need.
func writeSysctls(settings []setting) error {
	for _, s := range settings {
		if has, err := readSysctl(s.name); err == nil && has == s.value {
			continue
		}
		if err := writeSysctl(s.name, s.value); err != nil {
			return err
		}
	}
	return nil
}

func readSysctl(name string) (string, error) {
	file, err := sysctlFile(name)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", name, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// sysctlFile finds the file of a parameter. Only those of the network belong
// to a namespace; any other would change the machine outside.
func sysctlFile(name string) (string, error) {
	if !strings.HasPrefix(name, "net/") || path.Clean(name) != name {
		return "", fmt.Errorf("sysctl %q: want a name such as net/ipv4/ip_forward", name)
	}
	return path.Join(sysctlRoot, name), nil
}

// switchSettings keep the switch mute: without IPv6 no port sends router
// solicitations or multicast listener reports of its own.
func switchSettings() []setting {
	return []setting{
		{"net/ipv6/conf/default/disable_ipv6", "1"},
	}
}

// unfilter keeps the firewall's hooks off the switch, where the kernel has
// them for bridges (br_netfilter, on any Docker host): they drop frames whose
// IP header is not in order, and a switch does not look.
func unfilter() error {
	for _, name := range []string{"iptables", "ip6tables", "arptables"} {
		err := writeSysctl("net/bridge/bridge-nf-call-"+name, "0")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// hostSettings are set before the host gets its interface. A new namespace
// inherits the IPv4 parameters of the machine outside, so those that matter
// are named even where they are the kernel's defaults.
func hostSettings() []setting {
	gid := strconv.Itoa(os.Getegid())
	return []setting{
		{"net/ipv4/ip_forward", "0"},
		{"net/ipv4/conf/all/rp_filter", "0"},
		{"net/ipv4/conf/default/rp_filter", "0"},
		{"net/ipv4/ping_group_range", gid + " " + gid},
		{"net/ipv6/conf/all/disable_ipv6", "0"},
		{"net/ipv6/conf/default/disable_ipv6", "0"},
		{"net/ipv6/conf/default/accept_ra", "0"},
		{"net/ipv6/conf/default/autoconf", "0"},
		{"net/ipv6/conf/default/router_solicitations", "0"},
		// The delay also delays duplicate address detection, by a random time.
		{"net/ipv6/conf/default/router_solicitation_delay", "0"},
		{"net/ipv6/conf/default/addr_gen_mode", "0"},
		// Hosts skip duplicate address detection: set-up must not cost a second.
		{"net/ipv6/conf/default/accept_dad", "0"},
	}
}
