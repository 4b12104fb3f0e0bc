package journal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/lab/labtest"
	"nightporter/internal/machine"
)

// TestMain is also the process that TestKilled kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	labtest.Enter()
	os.Exit(m.Run())
}

var night = time.Date(2025, 11, 22, 22, 0, 0, 123456789, time.UTC)

// memoryOf returns the memory of the i-th machine, with every field set.
func memoryOf(i int) *machine.Memory {
	m := &machine.Memory{
		Spec: machine.Spec{
			Name: fmt.Sprintf("machine-%d é", i), MAC: macOf(i), IdleWatts: 52.5, SleepWatts: 2,
			Monitor: []machine.Address{
				{IP: netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i)}), Ports: []machine.Port{{Protocol: machine.TCP, Number: 22}, {Protocol: machine.ICMP}}},
				{IP: netip.MustParseAddr("fd77::20"), MAC: ether.MAC{0x52, 0x54, 0, 0, byte(i >> 8), byte(i)}},
			},
			Password: []byte{1, 2, 3, 4}, WakeFrom: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")}, Agentless: true,
			Unwatched: true, WakeMAC: ether.MAC{0xd8, 0xcb, 0x8a, 0, byte(i >> 8), byte(i)}, Secret: machine.SecretOf(fmt.Sprint("token ", i)),
		},
		Paused: night.Add(time.Hour), NameConfigured: true,
		State: machine.Asleep, Since: night, Registered: night.Add(-time.Second), NICAnswers: true,
		Counted: night.Add(-72 * time.Hour), Heard: night.Add(-2 * time.Second), Failures: 7, BootTimes: machine.BootTimes{Boot: 44 * time.Second, Services: time.Minute},
		Unproved: []netip.Addr{netip.MustParseAddr("fd77::20")}, OtherAddrs: []netip.Addr{netip.MustParseAddr("10.77.0.77")},
		LastWake: machine.LastWake{
			At: night.Add(-time.Hour), Trigger: machine.ByUDP, Source: netip.MustParseAddrPort("[fd77::9]:40000"), By: "automation",
			Service: machine.Service{Addr: netip.MustParseAddr("10.77.0.20"), Port: machine.Port{Protocol: machine.UDP, Number: 53}},
			Outcome: machine.Served, Attempts: 2, Boot: 12345678 * time.Microsecond, Ready: 15 * time.Second, Test: true,
		},
		Knocks:   machine.Knocks{{Port: machine.Port{Protocol: machine.TCP, Number: 22}, Count: 5}, {Port: machine.Port{Protocol: machine.ICMP}, Count: 6}},
		SleepLog: machine.SleepLog{{Date: "2025-11-20", Slept: 25 * time.Hour}, {Date: "2025-11-22", Slept: 7}},
		Tally: machine.Tally{
			Attempts: uint64(i), ExternalStarts: 2, Conflicts: 3, SettleTimeouts: 4,
			Slept: 1000*time.Hour + 7, SavedJoules: 1.8e8,
		},
	}
	m.Tally.Wakes[machine.ByUDP], m.Tally.Failures[machine.BySchedule] = 5, 6
	return m
}

func macOf(i int) ether.MAC { return ether.MAC{2, 0x77, 0, 0, byte(i >> 8), byte(i)} }

// fullEvent has every field set but Seq.
func fullEvent() Event {
	return Event{
		At: night, Kind: Knock, Machine: "nas", MAC: macOf(1), IP: netip.MustParseAddr("10.77.0.20"),
		Source: netip.MustParseAddrPort("[fd77::9]:40000"), Service: "10.77.0.20:22/tcp", Trigger: "tcp", By: "b", Reason: "r",
		Attempts: 3, Boot: 12345678 * time.Microsecond, Ready: 15 * time.Second, Slept: 9 * time.Hour, Until: night.Add(time.Hour), Test: true,
		NotReady: []string{"10.77.0.20:445/tcp"},
	}
}

var asEqual = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, asEqual); d != "" {
		t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines returns the lines with that text.
func (l *logged) lines(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range strings.Lines(l.b.String()) {
		if strings.Contains(s, text) {
			found = append(found, s)
		}
	}
	return found
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// opened opens the journal in dir; it is closed with the test, if not before.
func opened(tb testing.TB, dir string) (*Journal, Past, *logged) {
	tb.Helper()
	l := &logged{}
	j, past, err := Open(dir, l.logger())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = j.Close() })
	return j, past, l
}

func closed(tb testing.TB, j *Journal) {
	tb.Helper()
	if err := j.Close(); err != nil {
		tb.Fatal("close:", err)
	}
}

// deadline is for what should come at once.
const deadline = 20 * time.Second

func trySync(tb testing.TB, j *Journal) error {
	tb.Helper()
	return syncFor(tb, j, deadline)
}

func syncFor(tb testing.TB, j *Journal, eventDelay time.Duration) error {
	ctx, cancel := context.WithTimeout(tb.Context(), eventDelay)
	defer cancel()
	return j.Sync(ctx)
}

func synced(tb testing.TB, j *Journal) {
	tb.Helper()
	if err := trySync(tb, j); err != nil {
		tb.Fatal("sync:", err)
	}
}

func fileIn(dir string) string { return dir + "/" + fileName }

func contentOf(tb testing.TB, dir string) []byte {
	tb.Helper()
	b, err := os.ReadFile(fileIn(dir))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func put(tb testing.TB, dir string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(fileIn(dir), content, 0o600); err != nil {
		tb.Fatal(err)
	}
}
