package web_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
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

// band returns what needs attention on a page, with the tags that matter here only.
func band(t *testing.T, h *fakeBackend) string {
	t.Helper()
	page := ask(t, h, "GET", "/").Body.String()
	_, rest, _ := strings.Cut(page, `aria-label="Problems">`)
	found, _, ok := strings.Cut(rest, "</ul>")
	if !ok {
		t.Fatalf("no band:\n%s", page)
	}
	return strings.TrimSpace(found)
}

func TestAttentionForThePorter(t *testing.T) {
	h := &fakeBackend{
		machines: []machine.Status{nas()},
		ready:    errors.New("eth0 has no carrier"), guard: guard.Status{Reason: "no nftables"}, storage: journal.Health{Reason: "disk full"},
	}
	if got := band(t, h); !contains(got, "Not ready:</b> eth0 has no carrier", "Guard not active:</b> no nftables", "Journal not written:</b> disk full") {
		t.Errorf("what is wrong is not told: %s", got)
	}
	if got := band(t, &fakeBackend{machines: []machine.Status{nas()}}); got != "" {
		t.Errorf("while all is well: %s", got)
	}
}

// A failed wake is shown until the machine is up, whatever brought it up.
func TestAttentionForAFailedWake(t *testing.T) {
	s := nas()
	s.LastWake.Outcome, s.LastWake.Attempts, s.LastWake.Test = machine.GivenUp, 3, false
	told := []string{
		`data-key="wake:nas:2026-01-01T23:00:00Z"`, `<bdi>nas</bdi> did not wake</b>`, "1 h ago", "(no answer to 3 rounds of magic packets, 192.0.2.9 for ssh 22).",
		"Check power, cable and Wake-on-LAN.", "docs/troubleshooting.md#", `data-do="dismiss"`,
	}
	for state, want := range map[machine.State]bool{
		machine.Asleep: true, machine.Settling: true, machine.Waking: true, machine.Arriving: false, machine.Awake: false,
	} {
		s.State = state
		if got := band(t, &fakeBackend{machines: []machine.Status{s}}); contains(got, told...) != want || (got != "") != want {
			t.Errorf("%v: %s", state, got)
		}
	}
}

// Who tests a machine sees the result at once.
func TestAttentionForAFailedTest(t *testing.T) {
	s := nas()
	s.LastWake.Outcome, s.LastWake.Test = machine.GivenUp, true
	if got := band(t, &fakeBackend{machines: []machine.Status{s}}); got != "" {
		t.Errorf("a failed test: %s", got)
	}
}

// So it is if the machine was started since, and sleeps again.
func TestAttentionEndsWithAStart(t *testing.T) {
	s := nas()
	s.LastWake.Outcome, s.LastWake.Test = machine.GivenUp, false
	for kind, want := range map[journal.Kind]bool{journal.ExternalStart: false, journal.Awake: false, journal.Ready: false, journal.Settling: true} {
		h := &fakeBackend{machines: []machine.Status{s}}
		h.tell(journal.Event{At: s.LastWake.At.Add(time.Minute), Kind: kind, Machine: "nas"})
		if got := band(t, h); (got != "") != want {
			t.Errorf("after %s: %q", kind, got)
		}
	}
}

func TestAttentionForAConflict(t *testing.T) {
	s := nas()
	s.Addresses = []machine.AddressStatus{{IP: netip.MustParseAddr("192.0.2.5"), Standing: machine.Conceded, Reason: "another host uses it"}}
	if got := band(t, &fakeBackend{machines: []machine.Status{s}}); !contains(got, `<bdi>nas</bdi> has an address in conflict`, "192.0.2.5 is conceded: another host uses it") {
		t.Errorf("told: %s", got)
	}
}

// A refused registration is shown with its reason, until the machine is accepted. Where
// another machine is in the way, that one can be forgotten.
func TestAttentionForARefusal(t *testing.T) {
	guest := ether.MAC{2, 0, 0, 0, 0, 9}
	source := netip.MustParseAddrPort("192.0.2.77:4000")
	taken := fmt.Sprintf(`monitor: 192.0.2.5 belongs to "nas" (%s), which is asleep`, nas().MAC)
	refused := func(at time.Duration, mac ether.MAC, reason string) journal.Event {
		return journal.Event{At: midnight.Add(-at), Kind: journal.Refused, Source: source, MAC: mac, Reason: reason}
	}
	accepted := journal.Event{At: midnight, Kind: journal.Registered, MAC: guest, Machine: "new"}
	forget := `data-do="forget" data-name="nas"`
	for name, tt := range map[string]struct {
		events []journal.Event
		want   []string
		not    string
	}{
		"address taken":  {[]journal.Event{refused(time.Hour, guest, taken)}, []string{"A registration was refused", "1 h ago", "from 02:00:00:00:00:09 at 192.0.2.77: monitor: 192.0.2.5 belongs to", forget}, ""},
		"unknown MAC":    {[]journal.Event{refused(0, ether.MAC{}, "token: missing")}, []string{"from 192.0.2.77: token: missing"}, "data-name"},
		"twice":          {[]journal.Event{refused(1, guest, "first"), refused(0, guest, "last")}, []string{": last"}, ": first"},
		"over":           {[]journal.Event{refused(time.Hour, guest, taken), accepted}, nil, "refused"},
		"again":          {[]journal.Event{accepted, refused(0, guest, "token: wrong")}, []string{"token: wrong"}, ""},
		"long ago":       {[]journal.Event{refused(8*24*time.Hour, guest, taken)}, nil, "refused"},
		"of another MAC": {[]journal.Event{refused(0, guest, strings.Replace(taken, "d8:", "d9:", 1))}, []string{"refused"}, "data-name"},
		"as its name":    {[]journal.Event{refused(0, guest, fmt.Sprintf(`name: found %q: bad`, taken))}, []string{"refused"}, "data-name"},
		"hostile":        {[]journal.Event{refused(0, guest, "<img src=x>")}, []string{"&lt;img src=x&gt;"}, "<img"},
		"renamed": {[]journal.Event{{At: midnight, Kind: journal.Renamed, Machine: "nas-2", MAC: guest, Reason: fmt.Sprintf("the name %q belongs to %s already", "nas", nas().MAC)}},
			[]string{"<bdi>nas-2</bdi> did not get the requested name", "If that is an old network card", forget}, ""},
	} {
		h := &fakeBackend{machines: []machine.Status{nas(), {Spec: machine.Spec{Name: "nas-2", MAC: guest}, Since: midnight}}}
		for _, e := range tt.events {
			h.tell(e)
		}
		if got := band(t, h); !contains(got, tt.want...) || tt.not != "" && strings.Contains(got, tt.not) {
			t.Errorf("%s: want %q, and not %q:\n%s", name, tt.want, tt.not, got)
		}
	}
}

// Strangers cannot fill the page.
func TestAttentionIsBounded(t *testing.T) {
	h := &fakeBackend{machines: []machine.Status{nas()}}
	for i := range 100 {
		h.tell(journal.Event{At: midnight, Kind: journal.Refused, MAC: ether.MAC{2, 0, 0, 0, 1, byte(i)}, Source: netip.MustParseAddrPort("192.0.2.77:4000")})
	}
	if got := band(t, h); strings.Count(got, "<li") != 9 || !strings.Contains(got, "92 more registrations were refused") {
		t.Errorf("%d notices: %s", strings.Count(got, "<li"), got)
	}
}

// What has failed comes first, then names in their natural order.
func TestOrderOfRows(t *testing.T) {
	h := new(fakeBackend)
	for _, name := range []string{"vm-10", "vm-2", "Zoo", "backup"} {
		h.machines = append(h.machines, named(name))
	}
	h.machines[2].LastWake = machine.LastWake{At: midnight, Outcome: machine.GivenUp}
	h.machines[2].State = machine.Asleep
	if got := order(t, ask(t, h, "GET", "/").Body.String()); got != "Zoo backup vm-2 vm-10" {
		t.Errorf("the machines stand as %s", got)
	}
}

// TestAttentionIsDismissedOnce: what is dismissed comes again when it is something else.
func TestAttentionIsDismissedOnce(t *testing.T) {
	key := func(change func(*fakeBackend, *web.Server)) string {
		t.Helper()
		h := &fakeBackend{machines: []machine.Status{nas()}}
		s := newServer(t, options(h))
		change(h, s)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		_, rest, _ := strings.Cut(w.Body.String(), `aria-label="Problems">`)
		_, rest, _ = strings.Cut(rest, `<li data-key="`)
		found, _, _ := strings.Cut(rest, `"`)
		return found
	}
	failed := func(loaded time.Time, reason string) string {
		return key(func(_ *fakeBackend, s *web.Server) { s.SetConfig(web.ConfigState{Loaded: loaded, Reason: reason}) })
	}
	restart := func(keys ...string) string {
		return key(func(_ *fakeBackend, s *web.Server) { s.SetConfig(web.ConfigState{Healthy: true, Restart: keys}) })
	}
	for _, pair := range [][2]string{
		{failed(midnight, "a"), failed(midnight, "b")},
		{failed(midnight, "a"), failed(midnight.Add(time.Hour), "a")},
		{restart("wake.local"), restart("wake.local", "user")},
		{
			key(func(h *fakeBackend, _ *web.Server) { h.ready = errors.New("eth0 is down") }),
			key(func(h *fakeBackend, _ *web.Server) { h.ready = errors.New("eth1 is down") }),
		},
	} {
		if pair[0] == "" || pair[1] == "" || pair[0] == pair[1] {
			t.Errorf("keys %q", pair)
		}
	}
}

// TestPageTellsOfABadConfiguration: the error fits a phone, however long it is.
func TestPageTellsOfABadConfiguration(t *testing.T) {
	s := newServer(t, web.Options{Backend: newLiveBackend(), Gatherer: prometheus.NewRegistry(), Version: "1.2.3", Now: func() time.Time { return evening }})
	b := browse(t, s.Handler())
	s.SetConfig(web.ConfigState{
		Loaded: evening.Add(-26 * time.Hour),
		Reason: `machines[0].monitor[0].ip: found "192.168.1" (from /etc/nightporter/` + strings.Repeat("config", 20) + `.yaml, line 4): expected the unicast address of one machine, such as 192.0.2.7`,
	})
	for _, width := range []int64{390, 1280} {
		b.Look(width, 844, false)
		b.Go(home)
		b.Until(live)
		if got := b.Text(".attention li"); !strings.HasPrefix(got, "Configuration not reloaded: machines[0].monitor[0].ip: ") ||
			!strings.Contains(got, "line 4") || !strings.Contains(got, "The porter uses the configuration from Thu 18:36.") {
			t.Errorf("it says %q", got)
		}
		fits(t, b, "config", width, 3000)
		b.Picture(fmt.Sprintf("config-%d", width), true)
	}
}
