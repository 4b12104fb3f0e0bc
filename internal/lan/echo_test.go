package lan_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

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
