package cli

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/journal"
)

var (
	testTime   = time.Date(2026, 1, 2, 21, 4, 5, 0, time.UTC)
	nasMAC     = ether.MAC{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa1}
	clientAddr = netip.MustParseAddrPort("10.77.0.10:40000")
	pingSource = netip.MustParseAddrPort("10.77.0.10:0")
	eventTexts = []struct {
		event journal.Event
		want  string
	}{
		{journal.Event{Kind: journal.Registered, Reason: "registered"}, "registered"},
		{journal.Event{Kind: journal.Refused, MAC: nasMAC, Source: clientAddr, Reason: "token: wrong"},
			"registration of d8:cb:8a:39:be:a1 from 10.77.0.10:40000 refused: token: wrong"},
		{journal.Event{Kind: journal.Registered, Reason: "registered"}, "registered"},
		{journal.Event{Kind: journal.Registered, Reason: "here, to be watched"}, "registered: here, to be watched"},
		{journal.Event{Kind: journal.Conflict, IP: netip.MustParseAddr("fd00::20"), By: "02:00:00:00:00:09", Reason: "not defended"},
			"fd00::20 conceded to 02:00:00:00:00:09: not defended"},
		{journal.Event{Kind: journal.Settling, Reason: "sent a frame while asleep", Slept: 2*time.Hour + time.Millisecond},
			"settling: sent a frame while asleep, slept 2h0m0s"},
		{journal.Event{Kind: journal.Asleep, Reason: "fell silent"}, "asleep"},
		{journal.Event{Kind: journal.Knock, Source: clientAddr, Service: "10.77.0.20:22/tcp"},
			"knock from 10.77.0.10:40000 at 10.77.0.20:22/tcp"},
		{journal.Event{Kind: journal.Knock, Source: pingSource, Service: "10.77.0.20/icmp"}, "knock from 10.77.0.10 at 10.77.0.20/icmp"},
		{journal.Event{Kind: journal.Suppressed, Source: clientAddr, Service: "10.77.0.20:22/tcp", Reason: "wake.quiet_hours"},
			"packet from 10.77.0.10:40000 for 10.77.0.20:22/tcp does not wake: it was in wake.quiet_hours"},
		{journal.Event{Kind: journal.Suppressed, Source: netip.MustParseAddrPort("10.77.0.2:0"), Service: "10.77.0.20", Reason: "wake.local"},
			"packet for 10.77.0.20 does not wake: a program of the porter's host sent it, and wake.local is false"},
		{journal.Event{Kind: journal.Suppressed, Source: clientAddr, Service: "10.77.0.20:445/tcp", Reason: "port"},
			"packet from 10.77.0.10:40000 for 10.77.0.20:445/tcp does not wake: the port is not registered"},
		{journal.Event{Kind: journal.Suppressed, Source: clientAddr, Reason: "port"},
			"packets from 10.77.0.10 and others, for more ports, do not wake: the port is not registered"},
		{journal.Event{Kind: journal.Suppressed, Source: pingSource, Service: "10.77.0.20/icmp", Reason: "ping"},
			"packet from 10.77.0.10 for 10.77.0.20/icmp does not wake: icmp is not registered"},
		{journal.Event{Kind: journal.Suppressed, Source: clientAddr, Service: "10.77.0.20:22/tcp", Reason: "phase of the moon"},
			"packet from 10.77.0.10:40000 for 10.77.0.20:22/tcp does not wake: phase of the moon"},
		{journal.Event{Kind: journal.Asked, By: "10.77.0.10:40001", Trigger: "api"}, "wake requested by 10.77.0.10:40001"},
		{journal.Event{Kind: journal.Asked, By: "10.77.0.10:40001", Trigger: "api", Reason: "while it counts as awake"},
			"wake requested by 10.77.0.10:40001 while it counts as awake: one magic packet sent"},
		{journal.Event{Kind: journal.Asked, Trigger: "schedule"}, "wake requested"},
		{journal.Event{Kind: journal.Magic, Attempts: 2}, "magic packets, round 2"},
		{journal.Event{Kind: journal.Arrived, Reason: "up"}, "is up, its services are not ready yet"},
		{journal.Event{Kind: journal.Ready, Reason: "ready", Boot: 12300 * time.Millisecond, Ready: 14100 * time.Millisecond, Source: clientAddr, Service: "10.77.0.20:22/tcp"},
			"ready after 14.1 s (first frame after 12.3 s), for 10.77.0.10 at 10.77.0.20:22/tcp"},
		{journal.Event{Kind: journal.Ready, Reason: "handed over unready after hold.ready_timeout", Boot: 5 * time.Second},
			"handed over unready after hold.ready_timeout (first frame after 5.0 s)"},
		{journal.Event{Kind: journal.Ready, Reason: "handed over unready after hold.ready_timeout", NotReady: []string{"10.77.0.20:22/tcp", "10.77.0.20:445/tcp"}},
			"handed over unready after hold.ready_timeout: its services ssh (22/tcp) and smb (445/tcp) are not ready"},
		{journal.Event{Kind: journal.Failed, Attempts: 6, Trigger: "icmp", Source: pingSource, Service: "10.77.0.20/icmp"},
			"did not wake: no answer to 6 rounds of magic packets, for 10.77.0.10 at 10.77.0.20/icmp"},
		{journal.Event{Kind: journal.Failed, Attempts: 6}, "did not wake: no answer to 6 rounds of magic packets"},
		{journal.Event{Kind: journal.ExternalStart, Slept: 90 * time.Second}, "started externally, slept 1m30s"},
		{journal.Event{Kind: journal.Awake, Reason: "did not fall silent within probe.timeout"},
			"awake: did not fall silent within probe.timeout"},
		{journal.Event{Kind: journal.Conflict, IP: netip.MustParseAddr("fd00::20"), By: "02:00:00:00:00:09"},
			"address conflict: fd00::20 is also used by 02:00:00:00:00:09"},
		{journal.Event{Kind: journal.ConflictOver, IP: netip.MustParseAddr("fd00::20")},
			"address conflict over: no other host answers for fd00::20"},
		{journal.Event{Kind: journal.Waiting, IP: netip.MustParseAddr("fd00::20"), Reason: "no other host answers for it"},
			"fd00::20 cannot be claimed yet: no other host answers for it"},
		{journal.Event{Kind: journal.Proved, IP: netip.MustParseAddr("fd00::20")}, "fd00::20 can be claimed now"},
		{journal.Event{Kind: journal.Elsewhere, IP: netip.MustParseAddr("10.77.0.77")}, "is up at an address that it did not register: 10.77.0.77"},
		{journal.Event{Kind: journal.CardReplaced, MAC: nasMAC, By: "02:00:00:00:00:09"},
			"has a new network card: d8:cb:8a:39:be:a1 instead of 02:00:00:00:00:09"},
		{journal.Event{Kind: journal.Renamed, Reason: `the name "nas" belongs to 02:00:00:00:00:09 already`},
			`uses this name instead of the requested one: the name "nas" belongs to 02:00:00:00:00:09 already`},
		{journal.Event{Kind: journal.Renamed, By: "tower\x1b"}, "renamed from tower\uFFFD"},
		{journal.Event{Kind: journal.CommandFailed, Reason: "exit status 3: no such plug"}, "wake command failed: exit status 3: no such plug"},
		{journal.Event{Kind: journal.Paused, Until: testTime.Add(time.Hour), By: "10.77.0.10:40002", Slept: time.Minute},
			"paused until " + testTime.Add(time.Hour).Local().Format(time.DateTime) + ", by 10.77.0.10:40002, slept 1m0s"},
		{journal.Event{Kind: journal.Resumed, By: "10.77.0.10:40002"}, "pause ended by 10.77.0.10:40002"},
		{journal.Event{Kind: journal.Resumed}, "pause ended"},
		{journal.Event{Kind: journal.Asked, By: "10.77.0.10:40002", Test: true}, "test requested by 10.77.0.10:40002"},
		{journal.Event{Kind: journal.ServiceReady, Service: "10.77.0.20:22/tcp", Ready: 2 * time.Second}, "10.77.0.20:22/tcp ready after 2.0 s"},
		{journal.Event{Kind: journal.Forgotten, Reason: "requested by 10.77.0.10:40002"}, "forgotten: requested by 10.77.0.10:40002"},
		{journal.Event{Kind: journal.Started, Version: "1.2.3"}, "nightporter 1.2.3 started"},
		{journal.Event{Kind: journal.Started, Version: "1.2.3", Machines: 4, Reason: "the run before did not end in order"},
			"nightporter 1.2.3 started, 4 known machines: the run before did not end in order"},
		{journal.Event{Kind: journal.Reloaded}, "configuration reloaded"},
		{journal.Event{Kind: journal.ReloadFailed, Reason: "wake.attempts: found 0"}, "configuration not reloaded: wake.attempts: found 0"},
		{journal.Event{Kind: "new_kind", Reason: "of a newer porter"}, "new kind: of a newer porter"},
		{journal.Event{Kind: journal.Refused, Source: clientAddr, Reason: "\x1b[2Jname: \u202egreen\n"},
			"registration from 10.77.0.10:40000 refused: \uFFFD[2Jname: \uFFFDgreen\uFFFD"},
	}
)

// runEvents runs the command events and returns its exit code and output.
func runEvents(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), append([]string{"events"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestEventsInWords(t *testing.T) {
	at := testTime.Local().Format(time.DateTime)
	var all []journal.Event
	var want strings.Builder
	for _, k := range eventTexts {
		k.event.At, k.event.Machine = testTime, "nas"
		name := "nas         "
		if k.event.Kind == journal.Refused {
			k.event.Machine, name = "", "-           "
		}
		all = append(all, k.event)
		want.WriteString(at + "  " + name + "  " + k.want + "\n")
	}
	url, j := serveEvents(t, all...)
	code, out, errs := runEvents(t, "--from", url)
	if diff := cmp.Diff(want.String(), out); diff != "" || code != 0 || errs != "" {
		t.Errorf("exit code %d, %s (-want +got):\n%s", code, errs, diff)
	}
	j.Append(journal.Record{Event: journal.Event{At: testTime, Kind: journal.Asleep, Machine: "küchenrechner-2\x1b"}})
	if _, out, _ := runEvents(t, "--from", url, "-n", "1"); out != at+"  küchenrechner-2\uFFFD  asleep\n" {
		t.Errorf("printed %q", out)
	}
}

func TestEventsAreChosen(t *testing.T) {
	url, _ := serveEvents(t,
		journal.Event{At: testTime, Kind: journal.Asleep, Machine: "nas"},
		journal.Event{At: testTime, Kind: journal.Asked, Machine: "my pc", By: "pc"},
		journal.Event{At: testTime, Kind: journal.Magic, Machine: "nas", Attempts: 1},
	)
	const (
		first  = `{"seq":1,"at":"2026-01-02T21:04:05Z","kind":"asleep","machine":"nas"}` + "\n"
		second = `{"seq":2,"at":"2026-01-02T21:04:05Z","kind":"asked","machine":"my pc","by":"pc"}` + "\n"
		third  = `{"seq":3,"at":"2026-01-02T21:04:05Z","kind":"magic","machine":"nas","attempts":1}` + "\n"
	)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, first + second + third},
		{[]string{"-n", "2"}, second + third},
		{[]string{"--machine", "nas"}, first + third},
		{[]string{"--machine", "my pc", "-n", "1"}, second},
	} {
		code, out, errs := runEvents(t, append(tt.args, "--from", url, "--json")...)
		if code != 0 || out != tt.want || errs != "" {
			t.Errorf("%q: exit code %d, printed %q, %q; want %q", tt.args, code, out, errs, tt.want)
		}
	}
	const unknown = "nightporter: --machine: no machine is named \"tv\": the porter knows no machine yet\n"
	for _, args := range [][]string{nil, {"--json"}, {"-f"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var out, errs bytes.Buffer
		code := Run(ctx, append([]string{"events", "--from", url, "--machine", "tv"}, args...), &out, &errs)
		cancel()
		if code != 1 || out.String() != "" || errs.String() != unknown {
			t.Errorf("%q of no machine: exit code %d, printed %q, %q", args, code, &out, &errs)
		}
	}
}

func TestEventsFollow(t *testing.T) {
	past := []journal.Event{{At: testTime, Kind: journal.Asleep, Machine: "nas"}, {At: testTime, Kind: journal.Asleep, Machine: "pc"}}
	for _, tt := range []struct {
		name string
		args []string
		end  func(*journal.Journal, context.CancelFunc)
		want []string // kinds
		code int
		errs string
	}{
		{"Ctrl-C", nil, func(_ *journal.Journal, cancel context.CancelFunc) { cancel() }, []string{"asleep", "asleep", "knock"}, 0, ""},
		{"the porter stops", []string{"-n", "1"}, func(j *journal.Journal, _ context.CancelFunc) { _ = j.Close() },
			[]string{"asleep", "knock"}, 1, "nightporter: the porter closed the event stream\n"},
		{"of one machine", []string{"--machine", "nas"}, func(_ *journal.Journal, cancel context.CancelFunc) { cancel() },
			[]string{"asleep", "knock"}, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, j := serveEvents(t, past...)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			read, written := io.Pipe()
			var errs bytes.Buffer
			code := make(chan int, 1)
			go func() {
				code <- Run(ctx, append([]string{"events", "-f", "--json", "--from", url}, tt.args...), written, &errs)
				written.Close()
			}()
			var got []string
			lines := bufio.NewScanner(read)
			for i := 0; lines.Scan(); i++ {
				_, kind, _ := strings.Cut(lines.Text(), `"kind":"`)
				kind, _, _ = strings.Cut(kind, `"`)
				got = append(got, kind)
				switch len(got) {
				case len(tt.want) - 1: // all past events
					j.Append(journal.Record{Event: journal.Event{At: testTime, Kind: journal.Knock, Machine: "nas"}})
				case len(tt.want):
					tt.end(j, cancel)
				}
			}
			if c := <-code; c != tt.code || errs.String() != tt.errs {
				t.Errorf("exit code %d, %q; want %d, %q", c, errs.String(), tt.code, tt.errs)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// With -n 0 only events after the start of the command are printed.
func TestEventsFollowFromNow(t *testing.T) {
	url, j := serveEvents(t, journal.Event{At: testTime, Kind: journal.Asleep, Machine: "nas"})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	read, written := io.Pipe()
	go func() {
		Run(ctx, []string{"events", "--follow", "-n", "0", "--from", url}, written, io.Discard)
		written.Close()
	}()
	go func() { // events before the command follows are not printed
		for ctx.Err() == nil {
			j.Append(journal.Record{Event: journal.Event{At: testTime, Kind: journal.Magic, Machine: "nas", Attempts: 1}})
			time.Sleep(10 * time.Millisecond)
		}
	}()
	lines := bufio.NewScanner(read)
	if !lines.Scan() || !strings.HasSuffix(lines.Text(), "nas           magic packets, round 1") {
		t.Errorf("first %q, want a magic packet", lines.Text())
	}
	cancel()
	for lines.Scan() { // until the command ends
	}
}

func TestEventsErrors(t *testing.T) {
	notOurs := httptest.NewServer(http.NotFoundHandler())
	defer notOurs.Close()
	const refused = "nightporter: no nightporter answers at 127.0.0.1:1 (connection refused): "
	for _, tt := range []struct {
		args []string
		code int
		want string // begins the error
	}{
		{[]string{"--from", "http://127.0.0.1:1"}, 1, refused},
		{[]string{"--from", "http://127.0.0.1:1", "-f"}, 1, refused},
		{[]string{"--from", notOurs.URL}, 1, "nightporter: " + notOurs.URL + ": no events: 404 Not Found: is it nightporter, and not older than this command?\n"},
		{[]string{"--from", "ftp://porter"}, 2, `nightporter events: --from: found "ftp://porter", expected a URL such as http://porter:9717`},
		{[]string{"-n", "0"}, 2, "nightporter events: --number: found 0, expected 1 to 1000\n"},
		{[]string{"-n", "1001", "-f"}, 2, "nightporter events: --number: found 1001, expected 0 to 1000\n"},
		{[]string{"nas"}, 2, "nightporter events: found \"nas\", expected no argument\n"},
	} {
		code, out, errs := runEvents(t, tt.args...)
		if code != tt.code || out != "" || !strings.HasPrefix(errs, tt.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: exit code %d, printed %q\ngot  %swant %s", tt.args, code, out, errs, tt.want)
		}
	}
}
