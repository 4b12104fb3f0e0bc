package lan_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nightporter/internal/lan"
)

func TestOpenErrors(t *testing.T) {
	n := newNamespace(t)
	cable(n, "porter0", porterMAC, n, "client0", clientMAC)
	n.setUp("lo", true)
	n.setUp("client0", true)
	for _, c := range []struct {
		name string
		want []string
	}{
		{"eth7", []string{`interface "eth7"`, "there is no such interface", "there are: client0"}},
		{"lo", []string{`interface "lo"`, "not Ethernet"}},
		{"porter0", []string{`interface "porter0" is down`, "ip link set porter0 up"}},
		{"client0", []string{`interface "client0" has no IP address`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.do(func() error {
				i, err := lan.Open(c.name, nil)
				if err == nil {
					return errors.Join(errors.New("no error"), i.Close())
				}
				for _, want := range c.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error %q, want one with %q", err, want)
					}
				}
				return nil
			})
		})
	}
}

func TestOpenWithoutCapability(t *testing.T) {
	porter, _ := neighbors(t)
	porter.do(func() error {
		// Of this thread alone, which ends after the test.
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			return err
		}
		_, err := lan.Open("porter0", nil)
		if !errors.Is(err, unix.EPERM) {
			return errors.Join(errors.New("expected EPERM"), err)
		}
		for _, want := range []string{"needs CAP_NET_RAW", "run as root", "setcap cap_net_raw,cap_net_admin=ep /"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q, want one with %q", err, want)
			}
		}
		return nil
	})
}

func TestIdentity(t *testing.T) {
	porter, _ := neighbors(t)
	i := porter.open("porter0")
	if i.Name() != "porter0" || i.MAC() != porterMAC || i.Index() <= 0 || i.Wireless() {
		t.Errorf("%q, %v, index %d, wireless %v", i.Name(), i.MAC(), i.Index(), i.Wireless())
	}
}

// All multicast is received; promiscuous mode is for Wi-Fi only.
func TestReceivesAllMulticast(t *testing.T) {
	porter, _ := neighbors(t)
	i := porter.open("porter0")
	if promiscuous, allMulticast := porter.modes(i.Index()); promiscuous != 0 || allMulticast != 1 {
		t.Errorf("while open: promiscuous %d, all multicast %d, want 0 and 1", promiscuous, allMulticast)
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if promiscuous, allMulticast := porter.modes(i.Index()); promiscuous != 0 || allMulticast != 0 {
		t.Errorf("after Close: promiscuous %d, all multicast %d, want 0 and 0", promiscuous, allMulticast)
	}
}

// modes returns how many sockets want the modes of an interface.
func (n *namespace) modes(index int) (promiscuous, allMulticast uint32) {
	n.tb.Helper()
	n.do(func() error {
		c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		request, err := (&rtnetlink.LinkMessage{Index: uint32(index)}).MarshalBinary()
		if err != nil {
			return err
		}
		replies, err := c.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}, Data: request,
		})
		if err != nil {
			return err
		}
		attributes, err := netlink.NewAttributeDecoder(replies[0].Data[unix.SizeofIfInfomsg:])
		if err != nil {
			return err
		}
		for attributes.Next() {
			switch attributes.Type() {
			case unix.IFLA_PROMISCUITY:
				promiscuous = attributes.Uint32()
			case unix.IFLA_ALLMULTI:
				allMulticast = attributes.Uint32()
			}
		}
		return attributes.Err()
	})
	return promiscuous, allMulticast
}

func TestIsWireless(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"wlan0/wireless", "wlan1/phy80211", "eth0/device"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"wlan0": true, "wlan1": true, "eth0": false, "eth1": false} {
		if got := lan.IsWireless(dir, name); got != want {
			t.Errorf("%s is wireless: %v, want %v", name, got, want)
		}
	}
}

func TestSend(t *testing.T) {
	porter, client := neighbors(t)
	from, to := porter.open("porter0"), client.open("client0")
	got := make(chan lan.Packet, 1)
	run(t, to, func(p *lan.Packet) {
		if p.Src == sleepyMAC {
			got <- lan.Packet{Time: p.Time, Frame: slices.Clone(p.Frame)}
		}
	})
	frames, err := lan.Announcement(sleepyMAC, ether.Broadcast, sleepyMAC, sleepy4, none, none)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if err := from.Send(frames[0]); err != nil {
		t.Fatal(err)
	}
	p := receive(t, "the frame", got)
	if !slices.Equal(p.Frame, frames[0]) {
		t.Errorf("frame % x, want % x", p.Frame, frames[0])
	}
	if p.Time.Before(before) || p.Time.After(time.Now()) {
		t.Errorf("received at %v, sent at %v", p.Time, before)
	}
	if err := from.Send([]byte{1, 2, 3}); err == nil || !strings.Contains(err.Error(), "interface porter0: send a frame of 3 octets") {
		t.Errorf("error %v for a frame of 3 octets", err)
	}
}
