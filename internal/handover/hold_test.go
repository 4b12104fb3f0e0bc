package handover_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

var (
	routerMAC = ether.MAC{2, 0x77, 0, 0, 0, 1}
	clientMAC = ether.MAC{2, 0x77, 0, 0, 0, 10}
	client    = netip.MustParseAddr("10.77.0.10")
	outside   = netip.MustParseAddr("10.78.0.2")
)

// A packet of the tests carries its own name as its frame.

func syn(name string, port uint16) *lan.Packet {
	return &lan.Packet{Kind: lan.TCP, Flags: 2, Frame: []byte(name), Src: clientMAC, From: client, To: nas4, FromPort: port, ToPort: 22, Seq: uint32(len(name))}
}

func data(name string, seq uint32) *lan.Packet {
	return &lan.Packet{Kind: lan.TCP, Flags: 16, Frame: []byte(name), Src: clientMAC, From: client, To: nas4, FromPort: 40000, ToPort: 22, Seq: seq, Payload: 1}
}

func datagram(name string) *lan.Packet {
	return &lan.Packet{Kind: lan.UDP, Frame: []byte(name), Src: routerMAC, From: outside, To: nas4, FromPort: 5000, ToPort: 27015}
}

func fragment(name string, from netip.Addr, of byte, id uint32) *lan.Packet {
	return &lan.Packet{Kind: lan.IP, Fragment: true, FragmentOf: of, FragmentID: id, Frame: []byte(name), Src: routerMAC, From: from, To: nas4}
}

func plenty() *handover.Budget { return handover.NewBudget(1<<20, 0) }

// door collects what is let in.
type door struct{ in []string }

func (d *door) send(frame []byte, _ lan.Checksum) error {
	d.in = append(d.in, string(frame))
	return nil
}

func (d *door) want(t *testing.T, want string) {
	t.Helper()
	if got := strings.Join(d.in, " "); got != want {
		t.Errorf("let in %q, want %q", got, want)
	}
	d.in = nil
}

func wantCounts(t *testing.T, h *handover.Hold, want machine.Packets) {
	t.Helper()
	if d := cmp.Diff(want, h.Counts()); d != "" {
		t.Errorf("counts (-want +got):\n%s", d)
	}
}

func take(t *testing.T, h *handover.Hold, p *lan.Packet, s machine.Service, want handover.Verdict) {
	t.Helper()
	if got := h.Take(start, p, s != machine.Service{}, s); got != want {
		t.Errorf("%q: verdict %d, want %d", p.Frame, got, want)
	}
}

var notKnocking machine.Service // the packet does not knock

func TestWhatBecomesOfAPacket(t *testing.T) {
	h := handover.NewHold(8, plenty())
	other := syn("other", 5)
	for _, c := range []struct {
		name           string
		enter          func()
		knock, nothing handover.Verdict
	}{
		{"closed", func() {}, handover.Ignore, handover.Ignore},
		{"the machine sleeps", h.HoldAll, handover.Held, handover.Ignore},
		{"it arrives", h.HoldUnready, handover.Held, handover.Forward},
		{"its service is ready", func() { h.Admit(ssh, (&door{}).send) }, handover.Forward, handover.Forward},
		{"it turns out to be firmware", h.HoldAll, handover.Held, handover.Ignore},
		{"it has all its addresses back", func() { h.Open((&door{}).send) }, handover.Forward, handover.Forward},
		{"closed", h.Close, handover.Ignore, handover.Ignore},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.enter()
			take(t, h, syn("syn", 1), ssh, c.knock)
			take(t, h, other, notKnocking, c.nothing)
		})
	}
}

func TestPacketsAreLetInInOrder(t *testing.T) {
	var d door
	h := handover.NewHold(8, plenty())
	h.HoldAll()
	p := datagram("a")
	take(t, h, p, game, handover.Held)
	copy(p.Frame, "X") // the reader uses its buffer again
	take(t, h, syn("syn1", 1), ssh, handover.Held)
	take(t, h, datagram("b"), game, handover.Held)
	take(t, h, syn("syn2", 2), ssh, handover.Held)
	take(t, h, syn("syn1-again", 1), ssh, handover.Held) // one for each connection
	take(t, h, data("data", 77), ssh, handover.Held)
	take(t, h, data("more", 78), ssh, handover.Held)
	take(t, h, data("data-again", 77), ssh, handover.Held)
	take(t, h, datagram("a"), game, handover.Held) // the same twice is two
	wantCounts(t, h, machine.Packets{Held: 7})
	h.HoldUnready()
	if n := h.Admit(game, d.send); n != 3 {
		t.Errorf("%d datagrams replayed", n)
	}
	d.want(t, "a b a")
	h.Open(d.send)
	d.want(t, "syn1-again syn2 data-again more")
	wantCounts(t, h, machine.Packets{Held: 7, Replayed: 7})
	h.Open(d.send)
	d.want(t, "")
}

// TestFull: the oldest datagram is displaced, and no SYN.
func TestFull(t *testing.T) {
	var d door
	h := handover.NewHold(3, plenty())
	h.HoldAll()
	take(t, h, syn("syn1", 1), ssh, handover.Held)
	for i := range 4 {
		take(t, h, datagram(fmt.Sprint("d", i)), game, handover.Held)
	}
	wantCounts(t, h, machine.Packets{Held: 5, Dropped: 2})
	take(t, h, syn("syn2", 2), ssh, handover.Held)
	take(t, h, syn("syn3", 3), ssh, handover.Held)
	take(t, h, syn("syn4", 4), ssh, handover.Held)       // no room, and no packet to displace
	take(t, h, syn("syn1-again", 1), ssh, handover.Held) // needs none
	h.SetLimit(4)
	take(t, h, datagram("last"), game, handover.Held)
	h.Open(d.send)
	d.want(t, "syn1-again syn2 syn3 last")
	wantCounts(t, h, machine.Packets{Held: 8, Replayed: 4, Dropped: 5})
}

func TestLostPacketsAreCounted(t *testing.T) {
	h := handover.NewHold(8, plenty())
	h.HoldAll()
	take(t, h, &lan.Packet{Kind: lan.UDP, Frame: make([]byte, 10_000), To: nas4}, game, handover.Held)
	wantCounts(t, h, machine.Packets{Dropped: 1})
	take(t, h, datagram("a"), game, handover.Held)
	take(t, h, datagram("b"), game, handover.Held)
	if n := h.Drop(); n != 2 {
		t.Errorf("dropped %d", n)
	}
	wantCounts(t, h, machine.Packets{Held: 2, Dropped: 3})
	take(t, h, datagram("c"), game, handover.Held)
	h.Close()
	h.HoldAll()
	take(t, h, datagram("d"), game, handover.Held)
	h.Open(func([]byte, lan.Checksum) error { return errors.New("the cable is out") })
	wantCounts(t, h, machine.Packets{Held: 4, Dropped: 5})
}

func TestClients(t *testing.T) {
	h := handover.NewHold(8, plenty())
	h.HoldAll()
	take(t, h, syn("syn1", 1), ssh, handover.Held)
	take(t, h, syn("syn2", 2), ssh, handover.Held)
	take(t, h, datagram("a"), game, handover.Held)
	farSSH := syn("far", 3)
	farSSH.Src, farSSH.From = routerMAC, outside
	take(t, h, farSSH, ssh, handover.Held)
	near, far := handover.Client{MachineIP: nas4, MAC: clientMAC, IP: client}, handover.Client{MachineIP: nas4, MAC: routerMAC, IP: outside}
	opt := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if d := cmp.Diff([]handover.Client{near, far}, h.Clients(), opt); d != "" {
		t.Errorf("guests (-want +got):\n%s", d)
	}
	h.HoldUnready()
	if d := cmp.Diff([]handover.Client{near}, h.ClientsOnlyOf(ssh), opt); d != "" {
		t.Errorf("with SSH leave (-want +got):\n%s", d)
	}
	h.Admit(ssh, (&door{}).send)
	if d := cmp.Diff([]handover.Client{far}, h.ClientsOnlyOf(game), opt); d != "" {
		t.Errorf("with the game leave (-want +got):\n%s", d)
	}
}

// TestChecksumsTravel: what the kernel said of a checksum is not in the frame, and
// is needed when that is sent.
func TestChecksumsTravel(t *testing.T) {
	h := handover.NewHold(8, plenty())
	h.HoldAll()
	var want, got []lan.Checksum
	for port, sum := range []lan.Checksum{lan.Unfinished, lan.Unchecked, lan.Verified} {
		p := syn("syn", uint16(port))
		p.Sum = sum
		take(t, h, p, ssh, handover.Held)
		want = append(want, sum)
	}
	again := syn("syn", 0) // by another way: its checksum is there
	take(t, h, again, ssh, handover.Held)
	want[0] = again.Sum
	h.Open(func(_ []byte, sum lan.Checksum) error {
		got = append(got, sum)
		return nil
	})
	if !slices.Equal(got, want) {
		t.Errorf("sent with %v, want %v", got, want)
	}
}

// Nothing overtakes those who are let in.
func TestNobodyOvertakesOpen(t *testing.T) {
	h := handover.NewHold(8, plenty())
	h.HoldAll()
	take(t, h, datagram("1"), game, handover.Held)
	take(t, h, datagram("2"), game, handover.Held)
	h.HoldUnready()
	verdict := make(chan handover.Verdict)
	first := true
	h.Open(func([]byte, lan.Checksum) error {
		if !first {
			return nil
		}
		first = false
		go func() { verdict <- h.Take(start, datagram("3"), true, game) }()
		select {
		case v := <-verdict:
			t.Errorf("the third datagram has verdict %d while the first is on its way", v)
		case <-time.After(200 * time.Millisecond):
			go func() { <-verdict }()
		}
		return nil
	})
}
