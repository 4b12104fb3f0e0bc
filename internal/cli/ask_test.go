package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"

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
	history  journal.MachineHistory // of each
	wake     func(*journal.Journal) // after it was asked for; may be nil
	later    func()                 // once the machines are looked at again; may be nil
	looks    int
}

func (s *staffed) Machines() []machine.Status {
	if s.looks++; s.looks == 3 && s.later != nil {
		s.later()
	}
	return s.machines
}
func (s *staffed) Ready() error            { return s.ready }
func (s *staffed) Guard() guard.Status     { return s.guard }
func (s *staffed) Storage() journal.Health { return s.storage }

func (s *staffed) History(ether.MAC) journal.MachineHistory { return s.history }
func (s *staffed) WakeRules() machine.WakeRules             { return machine.WakeRules{} }

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

func (s *staffed) Forget(_ context.Context, name, _ string) error {
	was := len(s.machines)
	s.machines = slices.DeleteFunc(s.machines, func(m machine.Status) bool { return m.Name == name })
	if len(s.machines) == was {
		return machine.ErrUnknown
	}
	return nil
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
		State: machine.Asleep, Since: evening, SleepLog: machine.SleepLog{{Date: evening.Local().AddDate(0, 0, -2).Format(time.DateOnly), Slept: 7 * time.Hour}}, LastWake: machine.LastWake{
			At: evening.Add(-24 * time.Hour), Trigger: machine.ByTCP, Source: netip.MustParseAddrPort("10.77.0.10:40000"), Outcome: machine.Served,
			Service:  machine.Service{Addr: netip.MustParseAddr("10.77.0.20"), Port: machine.Port{Protocol: machine.TCP, Number: 22}},
			Attempts: 2, Boot: 12300 * time.Millisecond, Ready: 15 * time.Second,
		},
		Tally: machine.Tally{Attempts: 7, ExternalStarts: 8, Conflicts: 9, SavedJoules: 7.2e6},
	}
	nas.Tally.Wakes[machine.ByTCP], nas.Tally.Wakes[machine.ByAPI] = 3, 1
	nas.Suppressed[machine.InQuietHours] = 2
	nas.Ignored = []machine.Ignored{{
		Reason: machine.InQuietHours, Service: nas.LastWake.Service, Source: nas.LastWake.Source, First: evening, Last: evening, Count: 2,
	}}
	nas.Agentless = true
	return &staffed{
		machines: []machine.Status{{Spec: machine.Spec{Name: "pc\x1b", Agentless: true}, Since: evening}, nas},
		guard:    guard.Status{Mode: "auto", Active: true}, storage: journal.Health{Healthy: true},
	}
}

func TestStatusTable(t *testing.T) {
	url := staff(t, twoMachines(), web.Access{Token: "open sesame"}) // which is not for those who look
	at, before := evening.Local().Format(time.DateTime), evening.Add(-24*time.Hour).Local().Format(time.DateTime)
	ago, agoBefore := web.Ago(evening, time.Now()), web.Ago(evening.Add(-24*time.Hour), time.Now())
	wide := func(cell, other string) string { return fmt.Sprintf("%-*s", len(other), cell) }
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "" +
			"porter 1.2.3 at " + strings.TrimPrefix(url, "http://") + ": ready, 1 of 2 machines asleep\n" +
			"MACHINE  STATE   " + wide("SINCE", ago) + "  SLEPT   SAVED    LAST WAKE\n" +
			"nas      asleep  " + wide(ago, "SINCE") + "  1h0m0s  2.0 kWh  " + wide(agoBefore, "LAST WAKE") + "  ! fd77::20 waiting\n" +
			"pc\uFFFD      awake   " + wide(ago, "SINCE") + "  0s      0.0 Wh   never\n"},
		{[]string{"nas"}, "" +
			"machine            nas\n" +
			"MAC                d8:cb:8a:39:be:a1\n" +
			"state              asleep\n" +
			"since              " + at + " (" + ago + ")\n" +
			"agentless          yes: it need not register\n" +
			"address            10.77.0.20 22/tcp icmp: claimed\n" +
			"address            fd77::20 (does not wake): waiting (it is out\uFFFD)\n" +
			"slept              1h0m0s (today 1h0m0s, last 7 days 8h0m0s)\n" +
			"saved              2.0 kWh (50 W awake, 2 W asleep)\n" +
			"last wake          " + before + " (" + agoBefore + "), for 10.77.0.10 at 10.77.0.20:22/tcp: ready, boot 12.3 s, ready 15.0 s\n" +
			"wakes              4 (api 1, tcp 3)\n" +
			"failed wakes       0\n" +
			"magic packets      7\n" +
			"knocks ignored     2 (quiet_hours 2)\n" +
			"ignored            10.77.0.20:22/tcp from 10.77.0.10, 2 times, last " + at + ": it was in wake.quiet_hours\n" +
			"started by itself  8\n" +
			"address conflicts  9\n"},
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
	if code, out, errs := program(t, "status", "--from", staff(t, h, web.Access{})); code != 0 || !strings.HasSuffix(out, ": ready, no machine so far\n") || errs != "" {
		t.Errorf("no machine: exit code %d, %q, %q", code, out, errs)
	}
}

// A mistake is said with what was found and what was expected.
func TestAskErrors(t *testing.T) {
	url := staff(t, twoMachines(), web.Access{})
	empty := twoMachines()
	empty.machines = nil
	none := staff(t, empty, web.Access{})
	const refused = "nightporter: no nightporter answers at 127.0.0.1:1 (connection refused): is it running (systemctl status nightporter)? " +
		"For a porter on another host: --from HOST, or NIGHTPORTER_FROM"
	const unknown = `nightporter: no machine is named "tv"; there are: nas, pc` + "\uFFFD"
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"status", "--from", "http://127.0.0.1:1"}, 1, refused},
		{[]string{"status", "--watch", "--from", "http://127.0.0.1:1"}, 1, refused},
		{[]string{"wake", "nas", "--from", "http://127.0.0.1:1"}, 1, refused},
		{[]string{"forget", "nas", "--from", "127.0.0.1:1"}, 1, refused},
		{[]string{"wake", "nas", "--wait", "1s", "--from", "http://127.0.0.1:1"}, 1, refused},
		{[]string{"status", "tv", "--from", url}, 1, unknown},
		{[]string{"wake", "tv", "--from", url}, 1, unknown},
		{[]string{"forget", "tv", "--from", url}, 1, unknown},
		{[]string{"why", "tv", "--from", url}, 1, unknown},
		{[]string{"why"}, 2, "nightporter why: found 0 names, expected one"},
		{[]string{"wake", "tv", "--wait", "1s", "--from", url}, 1, unknown},
		{[]string{"wake", "tv", "--from", none}, 1, `nightporter: no machine is named "tv": the porter knows none so far`},
		{[]string{"status", "--from", "ftp://porter"}, 2, `nightporter status: --from: found "ftp://porter", expected a URL such as http://porter:9717`},
		{[]string{"wake", "nas", "--wait", "-1s", "--from", url}, 2, "nightporter wake: --wait: found -1s, expected a time such as 2m, or 0"},
		{[]string{"wake", "nas", "--token-file", "/nonexistent", "--from", url}, 1, "nightporter: --token-file: open /nonexistent: no such file or directory"},
		{[]string{"wake"}, 2, "nightporter wake: found 0 names, expected one"},
		{[]string{"forget", "nas", "pc"}, 2, "nightporter forget: found 2 names, expected one"},
		{[]string{"status", "nas", "pc"}, 2, "nightporter status: found 2 names, expected one or none"},
		{[]string{"status", "--json", "--watch"}, 2, "nightporter status: --json and --watch: give one of them"},
	} {
		code, out, errs := program(t, tt.args...)
		if code != tt.code || out != "" || errs != tt.want+"\n" {
			t.Errorf("%q: exit code %d, printed %q\ngot  %swant %s", tt.args, code, out, errs, tt.want)
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
	const none = "nas was not woken: this porter asks for a token: --token-file FILE, or NIGHTPORTER_HTTP__TOKEN"
	const other = "nas was not woken: the token is not this porter's http.token: --token-file FILE, or NIGHTPORTER_HTTP__TOKEN"
	for _, tt := range []struct {
		name, from, variable string
		args                 []string
		wrong                string // the error
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
		if tt.wrong != "" && (code != 1 || errs != "nightporter: "+tt.wrong+"\n") {
			t.Errorf("%s: exit code %d, %q; want %s", tt.name, code, errs, tt.wrong)
		}
	}
}

// forget is as careful as wake, and says what it did.
func TestForgetShowsTheToken(t *testing.T) {
	url := staff(t, twoMachines(), web.Access{Token: "open sesame"})
	for _, tt := range []struct {
		token, out, errs string
	}{
		{"", "", "nightporter: nas was not forgotten: this porter asks for a token: --token-file FILE, or NIGHTPORTER_HTTP__TOKEN\n"},
		{"another", "", "nightporter: nas was not forgotten: the token is not this porter's http.token: --token-file FILE, or NIGHTPORTER_HTTP__TOKEN\n"},
		{"open sesame", "nas is forgotten\n", ""},
		{"open sesame", "", "nightporter: no machine is named \"nas\"; there are: pc\uFFFD\n"},
	} {
		t.Setenv(tokenVariable, tt.token)
		code, out, errs := program(t, "forget", "nas", "--from", url)
		if (code == 0) != (tt.errs == "") || out != tt.out || errs != tt.errs {
			t.Errorf("with %q: exit code %d, %q, %q", tt.token, code, out, errs)
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
		{[]string{"why", "--from", url, "nu"}, "nursery\tarriving\n:4\n"},
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
		{[]web.Standing{own, conceded}, "! 10.77.0.20 conceded"},
		{[]web.Standing{waiting, own, conceded}, "! 2 addresses cannot be claimed"},
	} {
		if got := strings.Join(mark(&web.Machine{Addresses: tt.all}), " "); got != tt.want {
			t.Errorf("%v: marked %q, want %q", tt.all, got, tt.want)
		}
	}
	all := []web.Standing{own, conceded}
	for ip, want := range map[string]string{"10.77.0.21": ": own", "10.77.0.20": ": conceded (another host uses it)", "10.77.0.22": ""} {
		if got := standing(all, ip); got != want {
			t.Errorf("%s stands %q, want %q", ip, got, want)
		}
	}
	if got, want := strings.Join(mark(&web.Machine{Awaits: true, Addresses: []web.Standing{conceded}}), " "), "! waits for its first registration"; got != want {
		t.Errorf("marked %q, want %q", got, want)
	}
}
