package registration

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseInet6(t *testing.T) {
	const table = `fe8000000000000000fc00fffe000001 04 40 20 80     eth0
20010db8000000000000000000000002 04 40 00 00     eth0
20010db8000000000000000000000003 04 40 00 01     eth0
20010db8000000000000000000000004 04 40 00 20     eth0
20010db8000000000000000000000005 04 40 00 c0     eth0
20010db8000000000000000000000006 04 40 00 88     eth0
20010db8000000000000000000000007 04 40 00 82     eth0
`
	got, err := parseInet6(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"2001:db8::3": true, "2001:db8::4": true, "2001:db8::5": true, "2001:db8::6": true}
	names := make(map[string]bool)
	for ip, flags := range got {
		names[ip.String()] = flags != 0
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{
		"fe80 04 40 20 80 eth0", "xx 04 40 20 80 eth0", "fe8000000000000000fc00fffe000001 04 40 20",
		"fe8000000000000000fc00fffe000001 04 40 20 zz eth0",
	} {
		if _, err := parseInet6(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestInterfaceOf(t *testing.T) {
	ifi, addrs, err := interfaceOf(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	if ifi.Name != "lo" || len(addrs) == 0 {
		t.Errorf("found %s with %v", ifi.Name, addrs)
	}
	if _, _, err := interfaceOf(netip.MustParseAddr("192.0.2.77")); err == nil {
		t.Error("an interface has 192.0.2.77")
	}
}

func TestDetectAtThisHost(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:13717", "127.0.0.2:13717"} {
		if _, err := Detect(t.Context(), addr); !errors.Is(err, ErrThisHost) {
			t.Errorf("%s: %v, want %v", addr, err, ErrThisHost)
		}
	}
}

func TestIdentityMonitor(t *testing.T) {
	id := Identity{Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")}}
	got := id.Monitor(ParsePorts("22"))
	want := []WireAddress{{IP: "10.0.0.5", Port: []WirePort{"22"}}, {IP: "fd00::5", Port: []WirePort{"22"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
