package lab

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"

	"golang.org/x/sys/unix"
)

func TestRemedyNamesTheParameter(t *testing.T) {
	root := t.TempDir()
	write := func(name, value string) {
		t.Helper()
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("user/max_user_namespaces", "12345")
	write("kernel/apparmor_restrict_unprivileged_userns", "0")
	if got := remedy(root); !strings.HasPrefix(got, "run as root") {
		t.Errorf("remedy %q where nothing is forbidden, want to run as root", got)
	}
	write("kernel/apparmor_restrict_unprivileged_userns", "1")
	write("user/max_net_namespaces", "0")
	want := "kernel.apparmor_restrict_unprivileged_userns is 1, `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` allows it; " +
		"user.max_net_namespaces is 0, `sysctl -w user.max_net_namespaces=1000` allows it; or run as root"
	if got := remedy(root); got != want {
		t.Errorf("remedy\n%s\nwant\n%s", got, want)
	}
}

func TestExplain(t *testing.T) {
	if err := explain(unix.EPERM); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "root") {
		t.Errorf("explained EPERM is %v, want a remedy", err)
	}
	if err := explain(unix.EINVAL); err != unix.EINVAL {
		t.Errorf("explained EINVAL is %v, want it unchanged", err)
	}
}

func TestDHCPDiscoverIsWhole(t *testing.T) {
	mac := ether.MAC{0x02, 0x77, 0, 0, 0, 0x14}
	f := Frame{Data: dhcpDiscover(mac)}
	b := f.Payload()
	if f.Dst() != ether.Broadcast || f.Src() != mac || len(b) != int(binary.BigEndian.Uint16(b[2:])) {
		t.Fatalf("%s, %d bytes of payload, IP says %d", f, len(b), binary.BigEndian.Uint16(b[2:]))
	}
	if sum := checksum(b[:ipv4Header]); sum != 0 {
		t.Errorf("IP checksum is off by %#x", sum)
	}
	udp := b[ipv4Header:]
	pseudo := append(append([]byte{}, b[12:20]...), 0, protocolUDP, udp[4], udp[5])
	if sum := checksum(pseudo, udp); sum != 0 {
		t.Errorf("UDP checksum is off by %#x", sum)
	}
	bootp := udp[udpHeader:]
	if ether.MAC(bootp[28:34]) != mac || hex.EncodeToString(bootp[236:]) != "63825363350101ff" {
		t.Errorf("client %x, options %x; want %s and a DHCPDISCOVER", bootp[28:34], bootp[236:], mac)
	}
}

func TestChecksum(t *testing.T) {
	// The example of RFC 1071 section 3, and the same with an odd byte.
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := checksum(b); got != ^uint16(0xddf2) {
		t.Errorf("checksum %#04x, want %#04x", got, ^uint16(0xddf2))
	}
	if got := checksum(b, []byte{1}); got != ^uint16(0xdef2) {
		t.Errorf("checksum with an odd byte %#04x, want %#04x", got, ^uint16(0xdef2))
	}
}

func TestTimespec(t *testing.T) {
	want, never := time.Unix(1_700_000_000, 123_456_789), time.Unix(1, 1)
	long := binary.NativeEndian.AppendUint64(nil, 1_700_000_000)
	long = binary.NativeEndian.AppendUint64(long, 123_456_789)
	short := binary.NativeEndian.AppendUint32(nil, 1_700_000_000)
	short = binary.NativeEndian.AppendUint32(short, 123_456_789)
	for _, b := range [][]byte{long, short} {
		if got := timespec(b, never); !got.Equal(want) {
			t.Errorf("timespec of %d bytes is %s, want %s", len(b), got, want)
		}
	}
	if got := timespec(long[:5], never); !got.Equal(never) {
		t.Errorf("timespec of 5 bytes is %s, want %s", got, never)
	}
}

func TestOffloadKeepsToItsAddresses(t *testing.T) {
	m := &Machine{Host: &Host{mac: ether.MAC{2, 0, 0, 0, 0, 1}, addrs: prefixes("10.77.0.20/24", "fd77::20/64")}}
	asker := ether.MAC{2, 0, 0, 0, 0, 2}
	ask := func(op uint16, target string) Frame {
		a := arpMessage{op: op, senderMAC: asker, senderIP: netip.MustParseAddr("10.77.0.2"), targetIP: netip.MustParseAddr(target)}
		return Frame{Data: a.frame(ether.Broadcast)}
	}
	answer, err := (networkCard{m}).offload(ask(arpRequest, "10.77.0.20"))
	if err != nil {
		t.Fatal(err)
	}
	got, ok := parseARP(Frame{Data: answer})
	want := arpMessage{op: arpReply, senderMAC: m.mac, senderIP: m.Addr4(), targetMAC: asker, targetIP: netip.MustParseAddr("10.77.0.2")}
	if !ok || got != want {
		t.Errorf("answer %+v, want %+v", got, want)
	}
	for _, f := range []Frame{ask(arpRequest, "10.77.0.21"), ask(arpReply, "10.77.0.20"), {Data: answer[:20]}, {}} {
		if answer, err := (networkCard{m}).offload(f); answer != nil || err != nil {
			t.Errorf("%s is answered with %x (%v)", f, answer, err)
		}
	}
}

// FuzzFrames feeds the card whatever comes: no frame may crash it, and only a
// frame with the whole pattern in it is a magic packet.
func FuzzFrames(f *testing.F) {
	mac := ether.MAC{0x02, 0x77, 0, 0, 0, 0x14}
	m := &Machine{Host: &Host{mac: mac, addrs: prefixes("10.77.0.20/24", "fd77::20/64")}}
	gratuitous := arpMessage{op: arpRequest, senderMAC: mac, senderIP: m.Addr4(), targetIP: m.Addr4()}
	f.Add(gratuitous.frame(ether.Broadcast))
	f.Add(dhcpDiscover(mac))
	na, err := advertisement(mac, m.Addr6(), netip.IPv6LinkLocalAllNodes(), ether.Broadcast, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(na)
	f.Add(buildFrame(ether.Broadcast, mac, EtherTypeWakeOnLAN, []byte(strings.Repeat("\xff", 120))))
	pattern := strings.Repeat("\xff", 6) + strings.Repeat(string(mac[:]), magicRepeats)
	f.Add(buildFrame(ether.Broadcast, mac, EtherTypeWakeOnLAN, []byte(pattern)))
	f.Fuzz(func(t *testing.T, data []byte) {
		frame := Frame{Data: data}
		if _, ok := parseMagic(frame, mac, nil); ok && !strings.Contains(string(data), pattern) {
			t.Errorf("%x is no magic packet", data)
		}
		if a, ok := parseARP(frame); ok && string(a.frame(frame.Dst())[ethernetHeader:]) != string(data[ethernetHeader:ethernetHeader+arpPacket]) {
			t.Errorf("ARP packet %x reads as %+v", data, a)
		}
		if _, err := (networkCard{m}).offload(frame); err != nil {
			t.Errorf("%x: %v", data, err)
		}
	})
}
