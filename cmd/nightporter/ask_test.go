package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// staffed is a House with machines. What follows a wake is the test's to say.
type staffed struct {
	storied
	machines []machine.Status
	ready    error
	guard    guard.Status
	storage  journal.Health
	wake     func(*journal.Journal) // after it was asked for; may be nil
}

func (s *staffed) Machines() []machine.Status { return s.machines }
func (s *staffed) Ready() error               { return s.ready }
func (s *staffed) Guard() guard.Status        { return s.guard }
func (s *staffed) Storage() journal.Health    { return s.storage }

func (s *staffed) Wake(_ context.Context, name, _ string) error {
	for i := range s.machines {
		if s.machines[i].Name != name {
			continue
		}
		if s.machines[i].State != machine.Awake {
			s.machines[i].State = machine.Waking
		}
		if s.wake != nil {
			s.wake(s.journal)
		}
		return nil
	}
	return machine.ErrUnknown
}

// staff opens a house, and returns where it is.
func staff(t *testing.T, s *staffed, access web.Access) string {
	t.Helper()
	j, _, err := journal.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.journal = j
	j.Append(journal.Record{Event: journal.Event{At: evening, Kind: journal.Failed, Machine: "nas"}}) // long ago
	server, err := web.New(web.Options{
		House: s, Gatherer: prometheus.NewRegistry(), Version: "1.2.3", Access: access,
		Now: func() time.Time { return evening.Add(time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		_ = j.Close() // ends the streams
		srv.Close()
	})
	return srv.URL
}

// twoMachines is a house where all is well: one machine sleeps.
func twoMachines() *staffed {
	nas := machine.Status{
		Spec: machine.Spec{
			Name: "nas", MAC: nasMAC, IdleWatts: 50, SleepWatts: 2,
			Monitor: []machine.Address{
				{IP: netip.MustParseAddr("10.77.0.20"), Ports: []machine.Port{{Protocol: machine.TCP, Number: 22}, {Protocol: machine.ICMP}}},
				{IP: netip.MustParseAddr("fd77::20")},
			},
		},
		Addresses: []machine.AddressStatus{
			{IP: netip.MustParseAddr("10.77.0.20"), Standing: machine.Claimed},
			{IP: netip.MustParseAddr("fd77::20"), Standing: machine.Waiting, Reason: "it is out\x1b"},
		},
		State: machine.Asleep, Since: evening, Diary: machine.Diary{{Date: evening.Local().AddDate(0, 0, -2).Format(time.DateOnly), Slept: 7 * time.Hour}}, LastWake: machine.LastWake{
			At: evening.Add(-24 * time.Hour), Trigger: machine.ByTCP, Source: netip.MustParseAddrPort("10.77.0.10:40000"), Outcome: machine.Served,
			Service:  machine.Service{Addr: netip.MustParseAddr("10.77.0.20"), Port: machine.Port{Protocol: machine.TCP, Number: 22}},
			Attempts: 2, Boot: 12300 * time.Millisecond, Ready: 15 * time.Second,
		},
		Tally: machine.Tally{Attempts: 7, ExternalStarts: 8, Conflicts: 9, SavedJoules: 7.2e6},
	}
	nas.Tally.Wakes[machine.ByTCP], nas.Tally.Wakes[machine.ByAPI] = 3, 1
	nas.Suppressed[machine.InQuietHours] = 2
	nas.Agentless = true
	return &staffed{
		machines: []machine.Status{{Spec: machine.Spec{Name: "pc\x1b"}, Since: evening}, nas},
		guard:    guard.Status{Mode: "auto", Active: true}, storage: journal.Health{Healthy: true},
	}
}

// program runs a command, and returns its exit code and what it printed.
func program(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestStatusTable(t *testing.T) {
	url := staff(t, twoMachines(), web.Access{Token: "open sesame"}) // which is not for those who look
	at, before := evening.Local().Format(time.DateTime), evening.Add(-24*time.Hour).Local().Format(time.DateTime)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "" +
			"MACHINE  STATE   SINCE                SLEPT   SAVED    LAST WAKE\n" +
			"nas      asleep  " + at + "  1h0m0s  2.0 kWh  " + before + "  ! fd77::20 waiting\n" +
			"pc\uFFFD      awake   " + at + "  0s      0.0 Wh   never\n"},
		{[]string{"nas"}, "" +
			"machine             nas\n" +
			"MAC                 d8:cb:8a:39:be:a1\n" +
			"state               asleep\n" +
			"since               " + at + "\n" +
			"agentless           yes: it need not register\n" +
			"address             10.77.0.20 22/tcp icmp: claimed\n" +
			"address             fd77::20 (does not wake): waiting (it is out\uFFFD)\n" +
			"slept               1h0m0s (today 1h0m0s, last 7 days 8h0m0s)\n" +
			"saved               2.0 kWh (50 W awake, 2 W asleep)\n" +
			"last wake           " + before + ", for 10.77.0.10 at 10.77.0.20:22/tcp: ready, boot 12.3 s, ready 15.0 s\n" +
			"wakes               4 (api 1, tcp 3)\n" +
			"failed wakes        0\n" +
			"magic packets       7\n" +
			"did not wake        2 (quiet_hours 2)\n" +
			"started without us  8\n" +
			"address conflicts   9\n"},
	} {
		code, out, errs := program(t, append([]string{"status", "--from", url}, tt.args...)...)
		if code != 0 || out != tt.want || errs != "" {
			t.Errorf("%q: exit code %d, %q, printed\n%swant\n%s", tt.args, code, errs, out, tt.want)
		}
	}
}

func TestStatusJSON(t *testing.T) {
	url := staff(t, twoMachines(), web.Access{})
	code, out, _ := program(t, "status", "--from", url, "--json")
	for _, want := range []string{
		`"status": {`, `"version": "1.2.3"`, `"ready": true`, `"machines": [`, `"name": "nas"`, `"state": "asleep"`,
		`"last_wake": null`, `"slept_seconds": 3600`, `"22/tcp"`, `"quiet_hours": 2`,
	} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, %s lacks %s", code, out, want)
		}
	}
	if code, out, _ := program(t, "status", "nas", "--from", url, "--json"); code != 0 || !strings.HasPrefix(out, "{\n  \"name\": \"nas\",\n") {
		t.Errorf("exit code %d, %s", code, out)
	}
}

func TestStatusTellsWhatIsWrong(t *testing.T) {
	h := twoMachines()
	h.ready, h.guard, h.storage = errors.New("eth0: no carrier"), guard.Status{Mode: "auto", Reason: "no nf_tables"}, journal.Health{Reason: "no space left"}
	url := staff(t, h, web.Access{})
	for _, args := range [][]string{nil, {"nas"}, {"--json"}} {
		code, out, errs := program(t, append([]string{"status", "--from", url}, args...)...)
		const want = "guard: no nf_tables\njournal: no space left\nnightporter: the porter is not ready: eth0: no carrier\n"
		if code != 1 || !strings.Contains(out, "nas") || errs != want {
			t.Errorf("%q: exit code %d, printed %s%s; want 1, the machines, and %s", args, code, out, errs, want)
		}
	}
	h = twoMachines()
	h.machines = nil
	if code, out, errs := program(t, "status", "--from", staff(t, h, web.Access{})); code != 0 || out != "" || errs != "no machines\n" {
		t.Errorf("nobody: exit code %d, %q, %q", code, out, errs)
	}
}

// A mistake is said with what was found and what was expected.
func TestAskErrors(t *testing.T) {
	url := staff(t, twoMachines(), web.Access{})
	empty := twoMachines()
	empty.machines = nil
	nobody := staff(t, empty, web.Access{})
	const refused = "http://127.0.0.1:1: cannot reach the porter: dial tcp 127.0.0.1:1: connect: connection refused"
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"status", "--from", "http://127.0.0.1:1"}, refused},
		{[]string{"wake", "nas", "--from", "http://127.0.0.1:1"}, refused},
		{[]string{"wake", "nas", "--wait", "1s", "--from", "http://127.0.0.1:1"}, refused},
		{[]string{"status", "tv", "--from", url}, `found "tv", which the porter does not know: expected one of nas, pc` + "\uFFFD"},
		{[]string{"wake", "tv", "--from", url}, `found "tv", which the porter does not know: expected one of nas, pc` + "\uFFFD"},
		{[]string{"wake", "tv", "--wait", "1s", "--from", url}, `found "tv", which the porter does not know: expected one of nas, pc` + "\uFFFD"},
		{[]string{"wake", "tv", "--from", nobody}, `found "tv": the porter knows no machine: expected one to register first`},
		{[]string{"status", "--from", "ftp://porter"}, `--from: found "ftp://porter", expected a URL such as http://porter:9717`},
		{[]string{"wake", "nas", "--wait", "-1s", "--from", url}, "--wait: found -1s, expected a time such as 2m, or 0"},
		{[]string{"wake", "nas", "--token-file", "/nonexistent", "--from", url}, "--token-file: open /nonexistent: no such file or directory"},
		{[]string{"wake"}, "found 0 arguments, expected the name of one machine"},
		{[]string{"wake", "nas", "pc"}, "found 2 arguments, expected the name of one machine"},
	} {
		code, out, errs := program(t, tt.args...)
		if code != 1 || out != "" && !strings.HasPrefix(out, "Usage:") || errs != "nightporter: "+tt.want+"\n" {
			t.Errorf("%q: exit code %d, printed %q\ngot  %swant nightporter: %s", tt.args, code, out, errs, tt.want)
		}
	}
}

func TestWakeCommandShowsTheToken(t *testing.T) {
	const token = "open sesame"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := staff(t, twoMachines(), web.Access{Token: token})
	withUser := strings.Replace(url, "://", "://anna:secret@", 1)
	const none = `: not woken: 401 Unauthorized: "this porter asks for a token`
	const other = `: not woken: 401 Unauthorized: "the token is not the one`
	for _, tt := range []struct {
		name, from, variable string
		args                 []string
		wrong                string // begins the error
	}{
		{"none", url, "", nil, none},
		{"a file", url, "", []string{"--token-file", file}, ""},
		{"the environment", url, token, nil, ""},
		{"the file goes first", url, "another", []string{"--token-file", file}, ""},
		{"another", url, "another", nil, other},
		{"beside a password", withUser, token, nil, ""},
	} {
		t.Setenv(tokenVariable, tt.variable)
		code, out, errs := program(t, append([]string{"wake", "nas", "--from", tt.from}, tt.args...)...)
		if tt.wrong == "" && (code != 0 || out != "nas is waking\n" || errs != "") {
			t.Errorf("%s: exit code %d, %q, %q", tt.name, code, out, errs)
		}
		if tt.wrong != "" && (code != 1 || !strings.HasPrefix(errs, "nightporter: "+tt.from+tt.wrong) || !strings.Contains(errs, "expected --token-file, or "+tokenVariable)) {
			t.Errorf("%s: exit code %d, %q; want %s", tt.name, code, errs, tt.wrong)
		}
	}
}

func TestNamesAreCompleted(t *testing.T) {
	h := twoMachines()
	h.machines = append(h.machines, machine.Status{Spec: machine.Spec{Name: "nursery"}, State: machine.Arriving, Since: evening})
	url := staff(t, h, web.Access{})
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"wake", "--from", url, ""}, "nas\tasleep\nnursery\tarriving\n:4\n"}, // :4 is "no files"; a name with an escape is left out
		{[]string{"status", "--from", url, "nu"}, "nursery\tarriving\n:4\n"},
		{[]string{"wake", "--from", url, "nas", ""}, ":4\n"},
		{[]string{"events", "--from", url, "--machine", "na"}, "nas\tasleep\n:4\n"},
		{[]string{"wake", "--from", "http://127.0.0.1:1", ""}, ":1\n"},
	} {
		code, out, _ := program(t, append([]string{"__complete"}, tt.args...)...)
		if code != 0 || out != tt.want {
			t.Errorf("%q: exit code %d, %q, want %q", tt.args, code, out, tt.want)
		}
	}
}

// The list marks a machine that has addresses which cannot be claimed. An older
// porter says nothing of them.
func TestAddressMarks(t *testing.T) {
	conceded := web.Standing{IP: "10.77.0.20", Standing: machine.Conceded, Reason: "another host uses it"}
	waiting := web.Standing{IP: "fd77::20", Standing: machine.Waiting, Reason: "no network"}
	own := web.Standing{IP: "10.77.0.21"}
	for _, tt := range []struct {
		all  []web.Standing
		want string
	}{
		{nil, ""},
		{[]web.Standing{own}, ""},
		{[]web.Standing{own, conceded}, "\t! 10.77.0.20 conceded"},
		{[]web.Standing{waiting, own, conceded}, "\t! 2 addresses cannot be claimed"},
	} {
		if got := mark(tt.all); got != tt.want {
			t.Errorf("%v: marked %q, want %q", tt.all, got, tt.want)
		}
	}
	all := []web.Standing{own, conceded}
	for ip, want := range map[string]string{"10.77.0.21": ": own", "10.77.0.20": ": conceded (another host uses it)", "10.77.0.22": ""} {
		if got := standing(all, ip); got != want {
			t.Errorf("%s stands %q, want %q", ip, got, want)
		}
	}
}
