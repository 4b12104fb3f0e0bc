package lan_test

import (
	"net/netip"
	"strings"
	"testing"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/ndp"

	"nightporter/internal/lan"
)

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = ether.MAC{0x33, 0x33, 0, 0, 0, 1}
	none        netip.Addr
)

// override reports the O and R flags of an advertisement, which Parse does not.
func override(t *testing.T, frame []byte) bool {
	t.Helper()
	m, err := ndp.ParseMessage(frame[54:])
	if err != nil {
		t.Fatal(err)
	}
	na, ok := m.(*ndp.NeighborAdvertisement)
	if !ok {
		t.Fatalf("a %T, want an advertisement", m)
	}
	if na.Router {
		t.Error("the router flag is set")
	}
	return na.Override
}

func check(t *testing.T, frame []byte, want lan.Packet) {
	t.Helper()
	if len(frame) < 60 {
		t.Errorf("a frame of %d octets, want at least 60", len(frame))
	}
	if diff := cmp.Diff(want, view(t, frame), compareAddr); diff != "" {
		t.Errorf("frame (-want +got):\n%s", diff)
	}
}

func TestNeighborProbe(t *testing.T) {
	arp := lan.Packet{Src: porterMAC, Kind: lan.ARPRequest, From: porter4, To: sleepy4, SenderMAC: porterMAC}
	ns := lan.Packet{
		Src: porterMAC, Kind: lan.NeighborSolicitation, From: porter6, Target: sleepy6, SenderMAC: porterMAC,
		Network: 14, Transport: 54,
	}
	arpAll, arpOne, nsAll, nsOne := arp, arp, ns, ns
	arpAll.Dst, arpOne.Dst = ether.Broadcast, sleepyMAC
	nsAll.Dst, nsAll.To = ether.MAC{0x33, 0x33, 0xff, 0x1b, 0x2c, 0x3d}, group6
	nsOne.Dst, nsOne.To = sleepyMAC, sleepy6
	cases := []struct {
		name         string
		dst          ether.MAC
		from, target netip.Addr
		want         lan.Packet
	}{
		{"arp, all hosts", ether.Broadcast, porter4, sleepy4, arpAll},
		{"arp, one machine", sleepyMAC, porter4, sleepy4, arpOne},
		{"solicitation, the group", ether.Broadcast, porter6, sleepy6, nsAll},
		{"solicitation, one machine", sleepyMAC, porter6, sleepy6, nsOne},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			frame, err := lan.NeighborProbe(porterMAC, c.dst, c.from, c.target)
			if err != nil {
				t.Fatal(err)
			}
			check(t, frame, c.want)
		})
	}
}

// A question in a client's name says where the client is.
func TestCorrection(t *testing.T) {
	arp := lan.Packet{Src: porterMAC, Dst: sleepyMAC, Kind: lan.ARPRequest, From: client4, To: sleepy4}
	ns := lan.Packet{
		Src: porterMAC, Dst: sleepyMAC, Kind: lan.NeighborSolicitation, From: porter6, To: sleepy6, Target: sleepy6, Network: 14, Transport: 54,
	}
	for _, owner := range []ether.MAC{porterMAC, clientMAC} {
		arp.SenderMAC, ns.SenderMAC = owner, owner
		for _, want := range []lan.Packet{arp, ns} {
			target := sleepy4
			if want.From.Is6() {
				target = sleepy6
			}
			frame, err := lan.Correction(porterMAC, sleepyMAC, owner, want.From, target)
			if err != nil {
				t.Fatal(err)
			}
			check(t, frame, want)
		}
	}
	for want, ask := range map[string]func() ([]byte, error){
		"expected one address family": func() ([]byte, error) { return lan.Correction(porterMAC, sleepyMAC, clientMAC, client4, sleepy6) },
		"destination ff:ff:ff:ff:ff:ff": func() ([]byte, error) {
			return lan.Correction(porterMAC, ether.Broadcast, clientMAC, client4, sleepy4)
		},
		"owner ff:ff:ff:ff:ff:ff: expected a": func() ([]byte, error) {
			return lan.Correction(porterMAC, sleepyMAC, ether.Broadcast, client4, sleepy4)
		},
	} {
		if _, err := ask(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestNeighborProbeErrors(t *testing.T) {
	for _, c := range []struct {
		name         string
		from, target netip.Addr
		want         string
	}{
		{"no source", none, sleepy4, "source invalid IP"},
		{"zero source", netip.IPv4Unspecified(), sleepy4, "source 0.0.0.0"},
		{"unspecified source", netip.IPv6Unspecified(), sleepy6, "source ::"},
		{"no target", porter4, none, "target invalid IP"},
		{"multicast target", porter6, group6, "target ff02::1:ff1b:2c3d"},
		{"broadcast target", porter4, netip.MustParseAddr("255.255.255.255"), "target 255.255.255.255"},
		{"mapped target", porter6, netip.MustParseAddr("::ffff:192.168.7.3"), "target ::ffff:192.168.7.3"},
		{"two families", porter4, sleepy6, "expected one address family"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := lan.NeighborProbe(porterMAC, ether.Broadcast, c.from, c.target)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestAnnouncementIPv4(t *testing.T) {
	for name, dst := range map[string]ether.MAC{"all hosts": ether.Broadcast, "one client": clientMAC} {
		t.Run(name, func(t *testing.T) {
			frames, err := lan.Announcement(porterMAC, dst, sleepyMAC, sleepy4, none, client4)
			if err != nil {
				t.Fatal(err)
			}
			if len(frames) != 2 {
				t.Fatalf("%d frames, want the request and the reply form", len(frames))
			}
			want := lan.Packet{
				Src: porterMAC, Dst: dst, Kind: lan.ARPRequest,
				From: sleepy4, To: sleepy4, SenderMAC: sleepyMAC,
			}
			check(t, frames[0], want)
			want.Kind = lan.ARPReply
			check(t, frames[1], want)
			if target := ether.MAC(frames[1][32:38]); target != sleepyMAC {
				t.Errorf("target hardware address of the reply is %v, want the owner's", target)
			}
		})
	}
}

func TestAnnouncementIPv6(t *testing.T) {
	frames, err := lan.Announcement(porterMAC, ether.Broadcast, sleepyMAC, sleepy6, porter6, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	want := lan.Packet{
		Src: porterMAC, Dst: allNodesMAC, Kind: lan.NeighborAdvertisement,
		From: porter6, To: allNodes, Target: sleepy6, SenderMAC: sleepyMAC, Network: 14, Transport: 54,
	}
	if len(frames) != 1 {
		t.Fatalf("%d frames, want 1", len(frames))
	}
	check(t, frames[0], want)
	if !override(t, frames[0]) {
		t.Error("the override flag is clear")
	}
	for _, c := range []struct{ client, to netip.Addr }{{client6, client6}, {none, allNodes}} {
		frames, err := lan.Announcement(porterMAC, clientMAC, sleepyMAC, sleepy6, porter6, c.client)
		if err != nil || len(frames) != 1 {
			t.Fatalf("%d frames, error %v", len(frames), err)
		}
		want.Dst, want.To = clientMAC, c.to
		check(t, frames[0], want)
		if !override(t, frames[0]) {
			t.Error("the override flag is clear")
		}
	}
}

func TestAnnouncementErrors(t *testing.T) {
	for _, c := range []struct {
		name             string
		owner            ether.MAC
		ip, from, client netip.Addr
		want             string
	}{
		{"no address", sleepyMAC, none, porter6, none, "address invalid IP"},
		{"no owner", ether.MAC{}, sleepy4, none, none, "owner 00:00:00:00:00:00"},
		{"group owner", allNodesMAC, sleepy6, porter6, none, "owner 33:33:00:00:00:01"},
		{"no source", sleepyMAC, sleepy6, none, none, "source invalid IP"},
		{"source of the other family", sleepyMAC, sleepy6, porter4, none, "source 192.168.7.1"},
		{"client of the other family", sleepyMAC, sleepy6, porter6, client4, "client 192.168.7.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := lan.Announcement(porterMAC, clientMAC, c.owner, c.ip, c.from, c.client)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestAnswerARP(t *testing.T) {
	probe := with(arpBody(1), 14, 0, 0, 0, 0) // RFC 5227 section 2.1.1
	for name, c := range map[string]struct {
		body  []byte
		asker netip.Addr
	}{"request": {arpBody(1), client4}, "probe": {probe, netip.IPv4Unspecified()}} {
		t.Run(name, func(t *testing.T) {
			asked := view(t, ethernetFrame(0x0806, c.body...))
			frame, err := lan.AnswerTo(&asked, porterMAC, porterMAC)
			if err != nil {
				t.Fatal(err)
			}
			check(t, frame, lan.Packet{
				Src: porterMAC, Dst: clientMAC, Kind: lan.ARPReply,
				From: sleepy4, To: c.asker, SenderMAC: porterMAC,
			})
			if target := ether.MAC(frame[32:38]); target != clientMAC {
				t.Errorf("target hardware address is %v, want the asker's", target)
			}
		})
	}
}

// TestAnswerSolicitation has one case for each rule of RFC 4861 section 7.2.4.
func TestAnswerSolicitation(t *testing.T) {
	solicited := lan.Packet{
		Src: porterMAC, Dst: clientMAC, Kind: lan.NeighborAdvertisement, Solicited: true,
		From: sleepy6, To: client6, Target: sleepy6, SenderMAC: sleepyMAC, Network: 14, Transport: 54,
	}
	toAll := solicited
	toAll.Dst, toAll.To, toAll.Solicited = allNodesMAC, allNodes, false
	verify, dad := question(), question()
	verify.to, verify.options = sleepy6, nil
	dad.from, dad.options = netip.IPv6Unspecified(), nil
	for _, c := range []struct {
		name  string
		asked nd
		want  lan.Packet
	}{
		{"to the group", question(), solicited},
		{"unicast without an option", verify, solicited},
		{"duplicate address detection of another host", dad, toAll},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := view(t, c.asked.frame(t))
			frame, err := lan.AnswerTo(&asked, porterMAC, sleepyMAC)
			if err != nil {
				t.Fatal(err)
			}
			check(t, frame, c.want)
			if !override(t, frame) {
				t.Error("the override flag is clear")
			}
		})
	}
}

func TestAnswerErrors(t *testing.T) {
	arp, ns := view(t, ethernetFrame(0x0806, arpBody(1)...)), view(t, question().frame(t))
	group, zero := ns, arp
	group.Src, zero.SenderMAC = allNodesMAC, ether.MAC{}
	other := view(t, ethernetFrame(0x0806, arpBody(2)...))
	for _, c := range []struct {
		name  string
		asked lan.Packet
		owner ether.MAC
		want  string
	}{
		{"a reply", other, sleepyMAC, "arp reply"},
		{"group owner", arp, ether.Broadcast, "owner ff:ff:ff:ff:ff:ff"},
		{"without a sender", zero, sleepyMAC, "sender 00:00:00:00:00:00"},
		{"asked by a group", group, sleepyMAC, "asked by fe80::2 at 33:33:00:00:00:01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := lan.AnswerTo(&c.asked, porterMAC, c.owner)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
