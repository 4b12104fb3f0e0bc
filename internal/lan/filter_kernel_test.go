package lan_test

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
)

// link is a porter that reads, and a client that sends it any frame.
type link struct {
	tb     testing.TB
	porter *lan.Interface
	client *lan.Interface
	names  chan string // of the frames that came through
}

// named marks a frame: the names of frames are their last octets.
func named(name string, frame []byte) []byte {
	return append(bytes.Clone(frame), "#"+name...)
}

func newLink(tb testing.TB) *link {
	tb.Helper()
	porter, client := neighbors(tb)
	l := &link{tb: tb, porter: porter.open("porter0"), client: client.open("client0"), names: make(chan string, 1000)}
	l.read()
	return l
}

// read collects the names of the frames that come through.
func (l *link) read() {
	l.tb.Helper()
	run(l.tb, l.porter, func(p *lan.Packet) {
		if at := bytes.LastIndexByte(p.Frame, '#'); at >= 0 {
			l.names <- string(p.Frame[at+1:])
		}
	})
}

// through sends the frames, and returns the names of those that the porter saw.
// A last frame, which always passes, tells that no more will come.
func (l *link) through(frames ...[]byte) []string {
	l.tb.Helper()
	last := named("last", ethernetFrame(0x0806, arpBody(1)...))
	for _, frame := range append(frames, last) {
		if err := l.client.Send(frame); err != nil {
			l.tb.Fatal(err)
		}
	}
	var names []string
	for {
		name := receive(l.tb, "the last frame", l.names)
		if name == "last" {
			return names
		}
		names = append(names, name)
	}
}

// from and dst change the Ethernet addresses of a frame.
func from(mac ether.MAC, frame []byte) []byte { return with(frame, 6, mac[:]...) }
func dst(mac ether.MAC, frame []byte) []byte  { return with(frame, 0, mac[:]...) }

// TestKernelFilter runs the whole filter, with its prologue, in the kernel.
func TestKernelFilter(t *testing.T) {
	l := newLink(t)
	frames := [][]byte{
		named("arp", ethernetFrame(0x0806, arpBody(1)...)),
		named("arp to all", dst(ether.Broadcast, ethernetFrame(0x0806, arpBody(1)...))),
		named("solicitation", question().frame(t)),
		named("advertisement", advice().frame(t)),
		named("syn to sleepy4", to(sleepy4)),
		named("syn to sleepy6", to(sleepy6)),
		named("syn to us", to(porter4)),
		named("syn to us6", to(porter6)),
		named("from sleepy", from(sleepyMAC, to(porter4))),
		named("from sleepy, lldp", from(sleepyMAC, ethernetFrame(0x88cc, 1, 2, 3))),
		named("lldp", ethernetFrame(0x88cc, 1, 2, 3)),
		named("flooded arp", dst(sleepyMAC, ethernetFrame(0x0806, arpBody(1)...))),
		named("flooded syn", dst(clientMAC, to(sleepy4))),
		named("flooded from sleepy", dst(clientMAC, from(sleepyMAC, to(sleepy4)))),
		named("other vlan, arp", tagged(ethernetFrame(0x0806, arpBody(1)...), 6)),
		named("other vlan, syn", tagged(to(sleepy4), 0x800)),
		named("other vlan, from sleepy", tagged(from(sleepyMAC, to(sleepy4)), 5)),
		named("priority tag, arp", tagged(ethernetFrame(0x0806, arpBody(1)...), 0xe000)),
		named("priority tag, syn", tagged(to(sleepy4), 0xe000)),
		named("priority tag, syn to us", tagged(to(porter4), 0xe000)),
	}
	always := []string{"arp", "arp to all", "solicitation", "advertisement", "priority tag, arp"}
	steps := []struct {
		name     string
		interest *lan.Interest
		want     []string
	}{
		{"before the first interest", nil, always},
		{"all interests", &lan.Interest{
			Own: []netip.Addr{porter4, porter6}, MACs: []ether.MAC{sleepyMAC}, Addrs: []netip.Addr{sleepy4, sleepy6},
		}, []string{
			"arp", "arp to all", "solicitation", "advertisement", "syn to sleepy4", "syn to sleepy6",
			"from sleepy", "priority tag, arp", "priority tag, syn",
		}},
		{"addresses only", &lan.Interest{Addrs: []netip.Addr{sleepy4}},
			[]string{"arp", "arp to all", "solicitation", "advertisement", "syn to sleepy4", "priority tag, arp", "priority tag, syn"}},
		{"nothing again", &lan.Interest{}, always},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			if s.interest != nil {
				if err := l.porter.SetInterest(*s.interest); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(s.want, l.through(frames...)); diff != "" {
				t.Errorf("frames that came through (-want +got):\n%s", diff)
			}
		})
	}
}

// TestKernelFilterOfACrowd is about what the kernel itself makes of the largest
// programs, and about changing one for another.
func TestKernelFilterOfACrowd(t *testing.T) {
	l := newLink(t)
	in := crowd(1024)
	for round := range 3 {
		if err := l.porter.SetInterest(in); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	frames := [][]byte{named("to us", to(porter4)), named("to us6", to(porter6)), named("to a stranger", to(client6))}
	var want []string
	for i, ip := range in.Addrs {
		if i%97 == 0 {
			want = append(want, ip.String())
			frames = append(frames, named(ip.String(), to(ip)))
		}
	}
	for i, mac := range in.MACs {
		if i%97 == 0 {
			want = append(want, mac.String())
			frames = append(frames, named(mac.String(), from(mac, to(porter4))))
		}
	}
	if diff := cmp.Diff(want, l.through(frames...)); diff != "" {
		t.Errorf("frames that came through (-want +got):\n%s", diff)
	}
}

// A set that is too large for a filter is not silently lost.
func TestTooManyMachinesForAFilter(t *testing.T) {
	porter, client := neighbors(t)
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	l := &link{tb: t, porter: porter.openWith("porter0", log), client: client.open("client0"), names: make(chan string, 1000)}
	in := crowd(2000)
	if err := l.porter.SetInterest(in); err != nil {
		t.Fatal(err)
	}
	if want := `msg="too many addresses for the kernel filter`; !strings.Contains(text.String(), want) ||
		!strings.Contains(text.String(), "interface=porter0") {
		t.Errorf("log %q, want %q", text.String(), want)
	}
	l.read()
	ip, mac := in.Addrs[77], in.MACs[1999]
	got := l.through(named("to it", to(ip)), named("from it", from(mac, to(porter4))), named("to us", to(porter4)))
	if diff := cmp.Diff([]string{"to it", "from it"}, got); diff != "" {
		t.Errorf("frames that came through (-want +got):\n%s", diff)
	}
}

func TestRejectedFramesAreCounted(t *testing.T) {
	l := newLink(t)
	if err := l.porter.SetInterest(lan.Interest{MACs: []ether.MAC{clientMAC}}); err != nil {
		t.Fatal(err)
	}
	bad := question()
	bad.hopLimit = 64
	got := l.through(
		named("a", ethernetFrame(0x0806, arpBody(9)...)), named("b", ethernetFrame(0x0806, arpBody(3)...)),
		named("c", bad.frame(t)),
		named("d", ethernetFrame(0x0800, with(packet4(6, tcp(2)), 0, 0x44)...)),
		ethernetFrame(0x0806, arpBody(1)[:20]...),
		// The kernel takes the outer tag away.
		named("e", tagged(tagged(ethernetFrame(0x0806, arpBody(1)...), 7), 0)),
		named("good", ethernetFrame(0x0806, arpBody(1)...)),
	)
	if diff := cmp.Diff([]string{"good"}, got); diff != "" {
		t.Errorf("frames that came through (-want +got):\n%s", diff)
	}
	want := map[lan.Verdict]uint64{lan.BadARP: 2, lan.BadNDP: 1, lan.BadIP: 1, lan.Truncated: 1, lan.ForeignVLAN: 1}
	if diff := cmp.Diff(want, l.porter.Rejected()); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
}

// The porter must not take its own frames for those of another host.
func TestOwnFramesAreNotSeen(t *testing.T) {
	l := newLink(t)
	if err := l.porter.SetInterest(lan.Interest{MACs: []ether.MAC{porterMAC}, Addrs: []netip.Addr{sleepy4}}); err != nil {
		t.Fatal(err)
	}
	for _, frame := range [][]byte{named("own", ethernetFrame(0x0806, arpBody(1)...)), named("own", from(porterMAC, to(sleepy4)))} {
		if err := l.porter.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.through(); len(got) > 0 {
		t.Errorf("own frames came through: %v", got)
	}
}

// Before Linux 6.7 a socket had 20 KiB of option memory for its filter, and for
// the one before it while the two change places.
func TestFilterInLittleKernelMemory(t *testing.T) {
	porter, client := neighbors(t)
	var limited error
	porter.do(func() error {
		limited = os.WriteFile("/proc/sys/net/core/optmem_max", []byte("20480"), 0)
		return nil
	})
	if limited != nil {
		t.Skipf("needs Linux 6.8, where a namespace has its own limit: %v", limited)
	}
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	l := &link{tb: t, porter: porter.openWith("porter0", log), client: client.open("client0"), names: make(chan string, 1000)}
	l.read()
	for _, c := range []struct {
		machines int
		whole    bool
	}{{500, true}, {500, true}, {1, true}, {500, true}, {1024, false}, {1024, false}, {500, true}} {
		text.Reset()
		in := crowd(c.machines)
		if err := l.porter.SetInterest(in); err != nil {
			t.Fatalf("%d machines: %v", c.machines, err)
		}
		if whole := text.Len() == 0; whole != c.whole {
			t.Errorf("%d machines: the whole set is in the filter: %v, want %v; log %q", c.machines, whole, c.whole, text.String())
		}
		last := in.Addrs[len(in.Addrs)-1]
		got := l.through(named("to it", to(last)), named("from it", from(in.MACs[0], to(porter4))), named("to us", to(porter4)))
		if diff := cmp.Diff([]string{"to it", "from it"}, got); diff != "" {
			t.Errorf("%d machines: frames that came through (-want +got):\n%s", c.machines, diff)
		}
	}
}
