package lan_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// ends4 and ends6 are the ends of a probe: from us to a service of the machine.
func ends4() (from, to netip.AddrPort) {
	return netip.AddrPortFrom(porter4, 61000), netip.AddrPortFrom(sleepy4, 22)
}

func ends6() (from, to netip.AddrPort) {
	return netip.AddrPortFrom(porter6, 61000), netip.AddrPortFrom(sleepy6, 22)
}

// checkSent compares a frame with what it has to be, and looks at its checksums.
func checkSent(t *testing.T, frame []byte, want lan.Packet) {
	t.Helper()
	check(t, frame, want)
	if err := wrongSums(t, frame); err != nil {
		t.Error(err)
	}
}

func TestSYNProbe(t *testing.T) {
	for _, c := range []struct {
		name      string
		ends      func() (from, to netip.AddrPort)
		transport int
		mss       []byte
	}{
		{"IPv4", ends4, 34, []byte{2, 4, 0x05, 0xb4}}, // 1460
		{"IPv6", ends6, 54, []byte{2, 4, 0x05, 0xa0}}, // 1440
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := c.ends()
			frame, err := lan.SYNProbe(porterMAC, sleepyMAC, from, to, 0x89abcdef)
			if err != nil {
				t.Fatal(err)
			}
			checkSent(t, frame, lan.Packet{
				Src: porterMAC, Dst: sleepyMAC, Kind: lan.TCP, From: from.Addr(), To: to.Addr(),
				FromPort: 61000, ToPort: 22, Flags: 0x02, Seq: 0x89abcdef, Network: 14, Transport: c.transport,
			})
			if diff := cmp.Diff(c.mss, frame[c.transport+20:c.transport+24]); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
			if c.transport == 34 && frame[20] != 0x40 {
				t.Errorf("flags and fragment offset %#02x, want do not fragment", frame[20])
			}
		})
	}
}

func TestResetFor(t *testing.T) {
	synack4 := packet(lan.Packet{Kind: lan.TCP, FromPort: 22, ToPort: 61000, Flags: 0x12, Seq: 7, Ack: 0x89abcdf0, Network: 14})
	synack6 := in6(synack4)
	synack4.From, synack4.To = sleepy4, porter4
	for name, c := range map[string]struct {
		answered  lan.Packet
		transport int
	}{"IPv4": {synack4, 34}, "IPv6": {synack6, 54}} {
		t.Run(name, func(t *testing.T) {
			frame, err := lan.ResetFor(&c.answered, porterMAC)
			if err != nil {
				t.Fatal(err)
			}
			checkSent(t, frame, lan.Packet{
				Src: porterMAC, Dst: clientMAC, Kind: lan.TCP, From: c.answered.To, To: c.answered.From,
				FromPort: 61000, ToPort: 22, Flags: 0x04, Seq: 0x89abcdf0, Network: 14, Transport: c.transport,
			})
		})
	}
}

func TestProbeErrors(t *testing.T) {
	from4, to4 := ends4()
	from6, _ := ends6()
	nowhere := netip.AddrPortFrom(netip.IPv4Unspecified(), 22)
	for _, c := range []struct {
		name     string
		dst      ether.MAC
		from, to netip.AddrPort
		want     string
	}{
		{"no source", sleepyMAC, netip.AddrPort{}, to4, "source invalid IP: expected a unicast address"},
		{"no target", sleepyMAC, from4, nowhere, "target 0.0.0.0: expected a unicast address"},
		{"two families", sleepyMAC, from6, to4, "source fe80::1 and target 192.168.7.3: expected one address family"},
		{"no source port", sleepyMAC, netip.AddrPortFrom(porter4, 0), to4, "source 192.168.7.1:0: expected a port from 1 to 65535"},
		{"no target port", sleepyMAC, from4, netip.AddrPortFrom(sleepy4, 0), "target 192.168.7.3:0: expected a port from 1 to 65535"},
		{"to all hosts", ether.Broadcast, from4, to4, "destination ff:ff:ff:ff:ff:ff: expected a unicast MAC address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, syn := lan.SYNProbe(porterMAC, c.dst, c.from, c.to, 1)
			_, reset := lan.ResetFor(&lan.Packet{
				Kind: lan.TCP, Flags: 0x12, Src: c.dst,
				From: c.to.Addr(), FromPort: c.to.Port(), To: c.from.Addr(), ToPort: c.from.Port(),
			}, porterMAC)
			for what, err := range map[string]error{"syn probe": syn, "reset": reset} {
				if err == nil || !strings.HasPrefix(err.Error(), what+": "+c.want) {
					t.Errorf("error %v, want %q", err, what+": "+c.want)
				}
			}
		})
	}
	for _, p := range []lan.Packet{{Kind: lan.UDP, From: sleepy4, Flags: 0x12}, {Kind: lan.TCP, From: sleepy4, Flags: 0x14}} {
		if _, err := lan.ResetFor(&p, porterMAC); err == nil || !strings.Contains(err.Error(), "from 192.168.7.3 with the flags") {
			t.Errorf("error %v for %v, want one that it is no syn-ack", err, p.Kind)
		}
	}
}

// The ports of probes are used in turn, and no other port is one of them.
func TestProbePort(t *testing.T) {
	for n, want := range map[uint16]uint16{0: 61000, 1: 61001, 3999: 64999, 4000: 61000, 65535: 62535} {
		if got := lan.ProbePort(n); got != want || !lan.IsProbePort(got) {
			t.Errorf("probe %d comes from port %d, want %d", n, got, want)
		}
	}
	for _, port := range []uint16{0, 60999, 65000, 65535} {
		if lan.IsProbePort(port) {
			t.Errorf("port %d is one of a probe", port)
		}
	}
}

func TestEchoProbe(t *testing.T) {
	for _, c := range []struct {
		from, to  netip.Addr
		transport int
		request   byte
	}{{porter4, sleepy4, 34, 8}, {porter6, sleepy6, 54, 128}} {
		t.Run(c.to.String(), func(t *testing.T) {
			frame, err := lan.EchoProbe(porterMAC, sleepyMAC, c.from, c.to, 0x1234, 0x5678)
			if err != nil {
				t.Fatal(err)
			}
			checkSent(t, frame, lan.Packet{
				Src: porterMAC, Dst: sleepyMAC, Kind: lan.EchoRequest, From: c.from, To: c.to, Network: 14, Transport: c.transport,
				EchoID: 0x1234, EchoSeq: 0x5678,
			})
			b := frame[c.transport:]
			if b[0] != c.request || b[1] != 0 || string(b[4:8]) != "\x12\x34\x56\x78" {
				t.Errorf("the request is % x", b[:8])
			}
		})
	}
}

func TestEchoProbeErrors(t *testing.T) {
	for want, c := range map[string]struct {
		dst      ether.MAC
		from, to netip.Addr
	}{
		"source invalid IP: expected a unicast address":                               {sleepyMAC, netip.Addr{}, sleepy4},
		"target 0.0.0.0: expected a unicast address":                                  {sleepyMAC, porter4, netip.IPv4Unspecified()},
		"source fe80::1 and target 192.168.7.3: expected one address family":          {sleepyMAC, porter6, sleepy4},
		"destination ff:ff:ff:ff:ff:ff: expected a unicast MAC address":               {ether.Broadcast, porter4, sleepy4},
		"target 255.255.255.255: expected a unicast address, found the broadcast add": {sleepyMAC, porter4, netip.MustParseAddr("255.255.255.255")},
	} {
		if _, err := lan.EchoProbe(porterMAC, c.dst, c.from, c.to, 1, 1); err == nil || !strings.HasPrefix(err.Error(), "echo probe: "+want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestKernelAnswersEcho: a real kernel takes our requests, and answers to an
// address that no kernel has.
func TestKernelAnswersEcho(t *testing.T) {
	porter, _ := neighbors(t)
	i := porter.open("porter0")
	if err := i.SetInterest(lan.Interest{MACs: []ether.MAC{clientMAC}}); err != nil {
		t.Fatal(err)
	}
	replies4, replies6 := make(chan lan.Packet, 100), make(chan lan.Packet, 100)
	run(t, i, func(p *lan.Packet) {
		switch {
		case p.Kind == lan.ARPRequest && p.To == sleepy4, p.Kind == lan.NeighborSolicitation && p.Target == sleepy6:
			frame, err := lan.AnswerTo(p, porterMAC, porterMAC)
			if err := errors.Join(err, i.Send(frame)); err != nil {
				t.Error(err)
			}
		case p.Kind == lan.EchoReply && p.To == sleepy4:
			replies4 <- *p
		case p.Kind == lan.EchoReply && p.To == sleepy6:
			replies6 <- *p
		}
	})
	for _, c := range []struct {
		from, to netip.Addr
		replies  chan lan.Packet
	}{{sleepy4, client4, replies4}, {sleepy6, clientGlobal6, replies6}} {
		frame, err := lan.EchoProbe(porterMAC, clientMAC, c.from, c.to, 0xabcd, 7)
		if err != nil {
			t.Fatal(err)
		}
		if p := insist(t, i, frame, c.replies); p.From != c.to || p.EchoID != 0xabcd || p.EchoSeq != 7 {
			t.Errorf("%v answered %+v", c.to, p)
		}
	}
}

// insist sends a question until there is an answer: a kernel that is busy may drop
// its own.
func insist[T any](t *testing.T, i *lan.Interface, question []byte, answers <-chan T) (answer T) {
	t.Helper()
	for range 10 {
		if err := i.Send(question); err != nil {
			t.Fatal(err)
		}
		select {
		case answer = <-answers:
			return answer
		case <-time.After(500 * time.Millisecond):
		}
	}
	t.Fatal("no answer to 10 questions")
	return answer
}
