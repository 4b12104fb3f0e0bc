package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// floodKind is one kind of flood. Its frames are drawn from a store.
type floodKind struct {
	name  string
	frame func(*rand.Rand, *harness) []byte
}

// floodKinds are the floods of a host on the LAN. They may not wake a machine.
var floodKinds = []floodKind{
	{"broadcast arp", func(r *rand.Rand, _ *harness) []byte {
		return neighborRequest(r, ether.Broadcast, anyIPv4(r), pick(r, nas4, anyIPv4(r)))
	}},
	{"arp to the porter", func(r *rand.Rand, h *harness) []byte {
		return neighborRequest(r, h.lan.Porter().MAC(), anyIPv4(r), nas4)
	}},
	{"solicitations", func(r *rand.Rand, h *harness) []byte {
		return neighborRequest(r, h.lan.Porter().MAC(), anyIPv6(r), pick(r, nas6, nas6, nas6, anyIPv6(r)))
	}},
	{"syn to other ports", func(r *rand.Rand, h *harness) []byte {
		return lantest.SegmentFrame(anyMAC(r), h.lan.Porter().MAC(), netip.AddrPortFrom(anyIPv4(r), uint16(1024+r.IntN(60000))),
			netip.AddrPortFrom(nas4, uint16(1000+r.IntN(20000))), flagSYN)
	}},
	{"syn from who may not wake", func(r *rand.Rand, h *harness) []byte {
		return lantest.SegmentFrame(anyMAC(r), h.lan.Porter().MAC(), netip.AddrPortFrom(anyIPv4(r), uint16(1024+r.IntN(60000))),
			netip.AddrPortFrom(nas4, 22), flagSYN)
	}},
	{"broken neighbor discovery", func(r *rand.Rand, h *harness) []byte {
		return damage(r, neighborRequest(r, h.lan.Porter().MAC(), anyIPv6(r), nas6))
	}},
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// anyMAC returns a unicast address that no host in the lab has.
func anyMAC(r *rand.Rand) (mac ether.MAC) {
	binary.BigEndian.PutUint32(mac[2:], r.Uint32())
	mac[0] = 0x06
	return mac
}

// anyIPv4 returns a source address that may not wake.
func anyIPv4(r *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, 0, byte(128 + r.IntN(120))})
}

func anyIPv6(r *rand.Rand) netip.Addr {
	b := netip.MustParseAddr("fd77::1:0:0").As16()
	binary.BigEndian.PutUint32(b[12:], r.Uint32())
	return netip.AddrFrom16(b)
}

// neighborRequest returns a request for ip from an unknown host.
func neighborRequest(r *rand.Rand, to ether.MAC, from, ip netip.Addr) []byte {
	f, err := lan.NeighborProbe(anyMAC(r), to, from, ip)
	if err != nil {
		panic(err) // of our own making
	}
	return f
}

// damage returns a frame with a changed byte, or a truncated one.
func damage(r *rand.Rand, frame []byte) []byte {
	frame = slices.Clone(frame)
	if r.IntN(2) == 0 {
		return frame[:14+r.IntN(len(frame)-14)]
	}
	frame[54+r.IntN(len(frame)-54)] ^= byte(1 + r.IntN(255))
	return frame
}

// deal fills the store, and returns a function that returns its frames in turn.
func (c floodKind) deal(h *harness, random *rand.Rand) func([]byte) []byte {
	store := make([][]byte, 4096)
	for i := range store {
		store[i] = c.frame(random, h)
	}
	at := 0
	return func([]byte) []byte {
		at++
		return store[at%len(store)]
	}
}

// knocksOnly returns a filter for magic packets and for packets from one IPv4 address. It drops
// the flood.
func knocksOnly(t *testing.T, from netip.Addr) []bpf.RawInstruction {
	t.Helper()
	b := from.As4()
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(lab.EtherTypeWakeOnLAN), SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipFalse: 2},
		bpf.LoadAbsolute{Off: 14 + 12, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(b[:]), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 18},
	})
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// daemonMemory returns the daemon's resident memory in bytes, and its number of open files.
func daemonMemory(h *harness) (rss, files int) {
	h.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.daemon.Pid()))
	h.must(err)
	for line := range strings.Lines(string(b)) {
		if name, rest, _ := strings.Cut(line, ":"); name == "VmRSS" {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			h.must(err)
			rss = kib << 10
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.daemon.Pid()))
	h.must(err)
	return rss, len(open)
}

// knockSleeper sends one SYN from the client to a sleeping machine.
func knockSleeper(h *harness, i int) {
	h.Helper()
	client := h.lan.Client()
	from, to := netip.AddrPortFrom(client.Addr4(), uint16(50000+i)), netip.AddrPortFrom(sleeperAddr(i), 22)
	h.must(client.SendFrame(lantest.SegmentFrame(client.MAC(), h.lan.Porter().MAC(), from, to, flagSYN)))
}

// measureKnocks knocks at n sleeping machines. They do not wake, so each is used once: the
// pauses between its wakes grow. It returns the sorted times to the magic packets on the wire.
// A missing one counts as a second.
func measureKnocks(h *harness, wire *lab.Capture, first, n int) (took []time.Duration) {
	h.Helper()
	for i := first; i < first+n; i++ {
		entries := h.daemon.Log.Len()
		seen := len(wire.Frames())
		knockSleeper(h, i)
		var began, magic time.Time
		ctx := h.within(time.Second)
		_, err := wire.Wait(ctx, func(f lab.Frame) bool {
			if seen--; seen >= 0 {
				return false
			}
			switch {
			case !f.Outgoing && isSYN(f.Data):
				began = f.Time
			case f.Outgoing && f.EtherType() == lab.EtherTypeWakeOnLAN:
				magic = f.Time
			}
			return !magic.IsZero()
		})
		if err != nil || began.IsZero() {
			took = append(took, time.Second)
			continue
		}
		took = append(took, magic.Sub(began))
		h.waitMove(entries, sleeperName(i), "waking", "asleep", machine.WhyAttemptsGone)
	}
	slices.Sort(took)
	return took
}

// mostFlooded is the longest median time from a knock to its magic packet during a flood.
const mostFlooded = 50 * time.Millisecond

// TestFaultFlood: while a host floods the LAN as fast as it can, or as fast as the race detector
// bears, a knock leads to a magic packet within 50 ms, and another client gets answers.
func TestFaultFlood(t *testing.T) {
	onlyVariants(t)
	ctx, lan := newLANFor(t, 3*time.Minute) // not parallel: it would delay other tests
	h := openOn(ctx, t, lan, floodConf+openRegistration+"wake: {attempts: 1, interval: 20ms, from: [10.77.0.0/26]}\n")
	nas := h.addNAS(func(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll })
	flooder, err := h.lan.AddHost("flooder", netip.MustParsePrefix("10.77.0.66/24"))
	h.must(err)
	h.putToSleep(nas)
	knocks := soak(9, 50)
	all := 5 + len(floodKinds)*knocks
	addSleepers(h, all+1)
	wire, err := h.lan.CapturePort(h.ctx, h.lan.Porter(), knocksOnly(t, h.lan.Client().Addr4())...)
	h.must(err)
	rss, files := daemonMemory(h)
	t.Logf("without a flood: knock to magic packet %v", measureKnocks(h, wire, 0, 5))
	for i, c := range floodKinds {
		flood, err := flooder.Flood(fastestFlood, c.deal(h, rand.New(rand.NewPCG(uint64(i), 4))))
		h.must(err)
		began := time.Now()
		took := measureKnocks(h, wire, 5+i*knocks, knocks)
		rate := float64(flood.Sent()) / time.Since(began).Seconds()
		h.must(flood.Stop())
		wantAnsweredInFlood(h, flooder, c)
		median, worst := took[len(took)/2], took[len(took)-1]
		t.Logf("%s, %.0f frames/s: knock to magic packet: median %v, worst %v, all %v", c.name, rate, median, worst, took)
		if median > mostFlooded {
			t.Errorf("%s: knock to magic packet: median %v, want %v at most", c.name, median, mostFlooded)
		}
	}
	rssNow, nowFiles := daemonMemory(h)
	t.Logf("resident %d MiB, %d before; files %d, %d before", rssNow>>20, rss>>20, nowFiles, files)
	if rssNow > rss+32<<20 || nowFiles > files+8 {
		t.Error("the floods have left something behind")
	}
	counted, err := h.daemon.Metrics(h.within(5 * time.Second))
	h.must(err)
	for i := range all {
		if got, ok := counted[fmt.Sprintf(`nightporter_machine_wakes_total{machine="%s", trigger="tcp"}`, sleeperName(i))]; !ok || got > 1 {
			t.Errorf("%v wakes of %s, which was knocked at once; counted: %v", got, sleeperName(i), ok)
		}
	}
	h.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
	h.wantMetric(0, `nightporter_address_conflicts_total{machine="nas"}`)
	overflowQueue(h, wire, flooder, all)

	nas.IgnoreMagic(0)
	h.reload(floodConf, "configuration reloaded")
	flood, err := flooder.Flood(10000, floodKinds[0].deal(h, rand.New(rand.NewPCG(0, 5))))
	h.must(err)
	if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
	h.must(flood.Stop())
}

const floodConf = "probe: {interval: 100ms}\n"

// wantAnsweredInFlood expects that a client without a neighbor entry resolves each address
// within a second. The rate of the flood is one that a slow daemon with the race detector can
// answer; above that it loses requests of all hosts.
func wantAnsweredInFlood(h *harness, flooder *lab.Host, c floodKind) {
	h.Helper()
	client := h.lan.Client()
	flood, err := flooder.Flood(10000, c.deal(h, rand.New(rand.NewPCG(2, 2))))
	h.must(err)
	defer func() { h.must(flood.Stop()) }()
	began := time.Now()
	for _, ip := range []netip.Addr{nas4, nas6} {
		h.must(client.ForgetNeighbor(ip))
		h.must(client.WarmNeighbor(h.within(5*time.Second), ip))
		h.must(waitNeighborAt(h.within(5*time.Second), client, ip, h.lan.Porter().MAC()))
	}
	if took := time.Since(began); took > 2*time.Second {
		h.Errorf("%s: an honest client was answered after %v, want a second for each address", c.name, took)
	}
}

// overflowQueue stops the daemon until its socket's queue overflows. The lost frames are
// counted, and a later knock is not lost.
func overflowQueue(h *harness, wire *lab.Capture, flooder *lab.Host, sleeper int) {
	h.Helper()
	const drops = `nightporter_capture_drops_total{interface="eth0"}`
	before, entries := h.metric(drops), h.daemon.Log.Len()
	h.must(h.daemon.Signal(syscall.SIGSTOP))
	flood, err := flooder.Flood(0, floodKinds[1].deal(h, rand.New(rand.NewPCG(1, 1))))
	h.must(err)
	h.must(waitSent(h, flood, 60000)) // several times the size of the queue
	h.must(flood.Stop())
	knockSleeper(h, sleeper)
	began := time.Now()
	h.must(h.daemon.Signal(syscall.SIGCONT))
	if _, err := wire.Wait(h.within(5*time.Second), func(f lab.Frame) bool {
		return f.Outgoing && f.EtherType() == lab.EtherTypeWakeOnLAN && f.Time.After(began)
	}); err != nil {
		h.Fatalf("a knock behind %d questions is lost: %v", flood.Sent(), err)
	}
	h.Logf("a knock behind %d questions: magic packet %v after the daemon went on", flood.Sent(), time.Since(began))
	h.waitMove(entries, sleeperName(sleeper), "waking", "asleep", machine.WhyAttemptsGone)
	sent, lost := float64(flood.Sent()), h.metric(drops)-before
	h.Logf("%.0f of %.0f frames were dropped while the daemon stood still", lost, sent)
	if lost < sent/2 || lost > sent {
		h.Errorf("%v of %v frames are counted as dropped", lost, sent)
	}
}

// waitSent waits until a flood has sent a number of frames more.
func waitSent(h *harness, flood *lab.Flood, more uint64) error {
	goal := flood.Sent() + more
	for ctx := h.within(30 * time.Second); flood.Sent() < goal; time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			return fmt.Errorf("the flood has sent %d frames, want %d: %w", flood.Sent(), goal, ctx.Err())
		}
	}
	return nil
}
