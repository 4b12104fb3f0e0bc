package web

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/machine"
)

var (
	whyNow    = time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	whyNAS    = netip.MustParseAddr("192.0.2.5")
	whyClient = netip.MustParseAddrPort("198.51.100.9:40000")
	whySSH    = machine.Port{Protocol: machine.TCP, Number: 22}
	whySMB    = machine.Port{Protocol: machine.TCP, Number: 445}
)

// sleeper is a machine that sleeps since an hour.
func sleeper() machine.Status {
	return machine.Status{
		Spec:  machine.Spec{Name: "nas", Monitor: []machine.Address{{IP: whyNAS, Ports: []machine.Port{whySSH}}}},
		State: machine.Asleep, Since: whyNow.Add(-time.Hour), Why: machine.WhySilent, Heard: whyNow.Add(-time.Hour),
	}
}

// inShort writes lines as "topic: text -> hint".
func inShort(lines []whyLine) (all []string) {
	for _, l := range lines {
		text := l.Topic + ": " + l.Text
		if l.Hint != "" {
			text += " -> " + l.Hint
		}
		all = append(all, text)
	}
	return all
}

func TestWhyOfASleeper(t *testing.T) {
	s := sleeper()
	s.LastWake = machine.LastWake{At: whyNow.Add(-3 * time.Hour), By: "198.51.100.9:1", Trigger: machine.ByAPI, Outcome: machine.GivenUp, Attempts: 6}
	s.RetryAt = whyNow.Add(10 * time.Minute)
	s.WakeFrom = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	s.Addresses = []machine.AddressStatus{{IP: whyNAS, Standing: machine.Conceded, Reason: "another host uses it"}}
	s.Ignored = []machine.Ignored{
		{Reason: machine.PortNotRegistered, Service: machine.Service{Addr: whyNAS, Port: whySMB}, Source: whyClient, First: whyNow.Add(-30 * time.Minute), Last: whyNow.Add(-time.Minute), Count: 12},
		{Reason: machine.PortNotRegistered, Source: whyClient, First: whyNow.Add(-2 * time.Minute), Last: whyNow.Add(-2 * time.Minute), Count: 1},
	}
	rules := machine.WakeRules{
		Local: true, QuietHours: "11:00-13:00", Quiet: true, MinKnocks: 2, KnockWindow: 10 * time.Second, Cooldown: time.Minute,
		From: []netip.Prefix{netip.MustParsePrefix("192.0.0.0/16")},
	}
	want := []string{
		"state: asleep since 11:00 (1 h ago): fell silent; the porter answers for none of its addresses",
		"last wake: 09:00 (3 h ago), for 198.51.100.9: did not wake: no answer to 6 rounds of magic packets",
		"wakes: 22/tcp at 192.0.2.5, but not while that cannot be claimed",
		"wakes: only from 192.0.0.0/16 (wake.from)",
		"wakes: only from 192.0.2.0/24 (the machine's wake_from)",
		"wakes: the last wakes failed: no knock wakes it before 12:10 -> check the machine's power, cable and Wake-on-LAN; a requested wake is tried at once",
		"wakes: no knock wakes it now: quiet hours are 11:00-13:00 -> change wake.quiet_hours",
		"wakes: only 2 knocks of one source within 10s wake it",
		"wakes: for 1m0s after it fell asleep only a new connection wakes it",
		"ignored: 192.0.2.5:445/tcp from 198.51.100.9:40000, 12 times since 11:30 (30 min ago), last 11:59 (1 min ago): the port is not registered -> add 445/tcp to the machine's ports",
		"ignored: more ports from 198.51.100.9:40000, once, last 11:58 (2 min ago): the port is not registered -> add the ports that should wake it to the machine's ports",
		"address: 192.0.2.5 is not claimed: another host uses it -> if the other host is the machine itself, its mac is mistyped; otherwise give one of the two another address",
	}
	if diff := cmp.Diff(want, inShort(whyOf(&s, rules, whyNow))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhyInOtherStates(t *testing.T) {
	for state, words := range map[machine.State][]string{
		machine.Awake:    {"state: awake since", "awake: last heard 11:00 (1 h ago)", "awake: what keeps it awake is not known"},
		machine.Settling: {"the porter probes whether it is off", "awake: last heard 11:00 (1 h ago); it is claimed when it stops answering"},
		machine.Waking:   {"state: waking since"},
		machine.Arriving: {"state: arriving since", "; it has answered for 12 s; its service smb (445/tcp) is not ready yet; the porter waits until 12:00:30, or 12:00:48 while a client still tries"},
	} {
		s := sleeper()
		if state == machine.Arriving {
			smb := machine.Service{Addr: whyNAS, Port: whySMB}
			s.Arrival = machine.Arrival{Since: whyNow.Add(-12 * time.Second), Until: whyNow.Add(48 * time.Second), Idle: whyNow.Add(30 * time.Second), NotReady: []machine.Service{smb}}
		}
		s.State, s.Monitor[0].Ports = state, nil
		text := strings.Join(inShort(whyOf(&s, machine.WakeRules{}, whyNow)), "\n")
		for _, want := range append(words, "last wake: never", "wakes: no packet wakes it: it has no ports -> add the ports") {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", state, want, text)
			}
		}
		if state == machine.Arriving && strings.Contains(text, "awake: ") {
			t.Errorf("what keeps it awake is said of a machine that is not awake yet:\n%s", text)
		}
	}
	s := sleeper()
	s.State, s.Registered = machine.Awake, whyNow
	const unasked = "the porter does not probe it"
	if text := strings.Join(inShort(whyOf(&s, machine.WakeRules{}, whyNow)), "\n"); !strings.Contains(text, unasked) {
		t.Errorf("of a machine that is not watched:\n%s", text)
	}
	s.Watched = true
	if text := strings.Join(inShort(whyOf(&s, machine.WakeRules{}, whyNow)), "\n"); strings.Contains(text, unasked) || !strings.Contains(text, "it answers the porter's probes") {
		t.Errorf("of a machine that is watched:\n%s", text)
	}
	s.Heard = time.Time{}
	if text := strings.Join(inShort(whyOf(&s, machine.WakeRules{}, whyNow)), "\n"); !strings.Contains(text, "no frame received yet; the porter probes it") || strings.Contains(text, "it answers") {
		t.Errorf("of a machine that was never heard:\n%s", text)
	}
}

// TestWhyIsAMachineNotAsked: each cause has its own hint.
func TestWhyIsAMachineNotAsked(t *testing.T) {
	stuck := []machine.AddressStatus{{IP: whyNAS, Standing: machine.Waiting, Reason: "the MAC is that of an interface of this host"}}
	for want, change := range map[string]func(*machine.Status){
		"awake: it has not registered yet: until then the porter does not probe it or claim its addresses -> run nightporter register on it, or set agentless: true": func(*machine.Status) {},
		"awake: the porter does not probe it, because none of its addresses can be claimed":                                                                          func(s *machine.Status) { s.Agentless, s.Addresses = true, stuck },
		"learns that it sleeps only from a registration -> set watch: true, and watch.interval above 0":                                                              func(s *machine.Status) { s.Registered = whyNow },
	} {
		s := sleeper()
		s.State = machine.Awake
		change(&s)
		text := strings.Join(inShort(whyOf(&s, machine.WakeRules{}, whyNow)), "\n") + "\n"
		if !strings.Contains(text, want+"\n") {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
}

// TestWhyAfterAFailedWake: also after the first, whose knocks go on waking it.
func TestWhyAfterAFailedWake(t *testing.T) {
	const want = "did not wake: no answer to 6 rounds of magic packets -> check the machine's power, cable and Wake-on-LAN\n"
	s := sleeper()
	s.LastWake = machine.LastWake{At: whyNow.Add(-time.Minute), Outcome: machine.GivenUp, Attempts: 6}
	if text := strings.Join(inShort(whyOf(&s, machine.WakeRules{}, whyNow)), "\n"); !strings.Contains(text, want) {
		t.Errorf("asleep:\n%s", text)
	}
	s.State = machine.Awake
	if text := strings.Join(inShort(whyOf(&s, machine.WakeRules{}, whyNow)), "\n"); strings.Contains(text, "check the machine's power") {
		t.Errorf("up since:\n%s", text)
	}
}

// TestWhySomeAddressesAreNotClaimed counts them.
func TestWhySomeAddressesAreNotClaimed(t *testing.T) {
	s := sleeper()
	s.Addresses = []machine.AddressStatus{{IP: whyNAS, Standing: machine.Claimed}, {IP: netip.MustParseAddr("192.0.2.6"), Standing: machine.Waiting, Reason: "x"}}
	if got := inShort(whyOf(&s, machine.WakeRules{}, whyNow)); !strings.HasSuffix(got[0], "; the porter answers for 1 of its 2 addresses") || got[2] != "wakes: 22/tcp at 192.0.2.5" {
		t.Errorf("got %q", got)
	}
}

// Nothing wakes a paused machine, and no setting is to be changed.
func TestWhyOfAPausedMachine(t *testing.T) {
	s := sleeper()
	s.State, s.PausedUntil = machine.Awake, whyNow.Add(time.Hour)
	text := strings.Join(inShort(whyOf(&s, machine.WakeRules{}, whyNow)), "\n")
	if !strings.Contains(text, "state: paused until 13:00: nothing is claimed or woken -> `nightporter resume nas` ends the pause") || strings.Contains(text, "wakes: ") || strings.Contains(text, "awake: ") {
		t.Errorf("got\n%s", text)
	}
}

// Each reason names the one setting that would change it.
func TestSettingFor(t *testing.T) {
	no, elsewhere := false, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	ssh := machine.Service{Addr: whyNAS, Port: whySSH}
	const check = "check the machine's power, cable and Wake-on-LAN; a requested wake is tried at once"
	for _, c := range []struct {
		reason  machine.Suppression
		service machine.Service
		change  func(*machine.Status, *machine.WakeRules)
		want    string
	}{
		{machine.TooFewKnocks, ssh, nil, "set wake.min_knocks: 1"},
		{machine.InQuietHours, ssh, nil, "change wake.quiet_hours"},
		{machine.WhileCooling, ssh, nil, "set wake.cooldown: 0s"},
		{machine.AfterFailures, ssh, nil, check},
		{machine.FromThisHost, machine.Service{Addr: whyNAS}, nil, "set wake.local: true, and restart nightporter"},
		{machine.FromThisHost, ssh, func(_ *machine.Status, r *machine.WakeRules) { r.LocalLater = true }, "restart nightporter: wake.local: true is set already"},
		{machine.FromThisHost, ssh, func(_ *machine.Status, r *machine.WakeRules) { r.Bound = true }, "set claim.mode: responder and wake.local: true, and restart nightporter"},
		{machine.PortNotRegistered, machine.Service{Addr: whyNAS, Port: whySMB}, nil, "add 445/tcp to the machine's ports"},
		{machine.PingNotRegistered, machine.Service{Addr: whyNAS, Port: machine.Port{Protocol: machine.ICMP}}, nil, "add icmp to the machine's ports"},
		{machine.SourceNotAllowed, ssh, func(_ *machine.Status, r *machine.WakeRules) { r.From = elsewhere }, "add 198.51.100.9/32 to wake.from"},
		{machine.SourceNotAllowed, ssh, func(s *machine.Status, r *machine.WakeRules) { s.WakeFrom, r.From = elsewhere, elsewhere }, "add 198.51.100.9/32 to the machine's wake_from"},
		{machine.SourceNotAllowed, ssh, func(s *machine.Status, _ *machine.WakeRules) {
			s.WakeFrom = elsewhere
			s.Monitor[0].Set([]machine.Port{whySSH}, machine.Settings{WakeFrom: elsewhere})
		}, "add 198.51.100.9/32 to wake_from of 22/tcp"},
		{machine.SourceNotAllowed, ssh, nil, ""},
		{machine.OldConnection, ssh, nil, "set wake.established: true"},
		{machine.OldConnection, machine.Service{}, nil, "set wake.established: true"},
		{machine.OldConnection, ssh, func(_ *machine.Status, r *machine.WakeRules) { r.Established = true }, ""},
		{machine.OldConnection, ssh, func(s *machine.Status, r *machine.WakeRules) {
			r.Established = true
			s.Monitor[0].Set([]machine.Port{whySSH}, machine.Settings{Established: &no})
		}, "set established: true for 22/tcp"},
		{machine.OldConnection, machine.Service{Addr: whyNAS, Port: whySMB}, nil, "add 445/tcp to the machine's ports"},
		{machine.Suppression(99), ssh, nil, ""},
	} {
		s, rules := sleeper(), machine.WakeRules{}
		if c.change != nil {
			c.change(&s, &rules)
		}
		if got := settingFor(&s, &rules, &machine.Ignored{Reason: c.reason, Service: c.service, Source: whyClient}); got != c.want {
			t.Errorf("%s for %v: %q, want %q", c.reason, c.service, got, c.want)
		}
	}
	for _, reason := range machine.Suppressions {
		if because[reason.String()] == "" {
			t.Errorf("nothing says why %s does not wake", reason)
		}
	}
}

// TestWhyNamesWhatWasNotReady at the handover, as the API does.
func TestWhyNamesWhatWasNotReady(t *testing.T) {
	s := sleeper()
	s.LastWake = machine.LastWake{At: whyNow.Add(-time.Hour), Outcome: machine.Unready, Ready: time.Minute}
	s.Unready = []machine.Service{{Addr: whyNAS, Port: whySMB}}
	if got, want := inShort(whyOf(&s, machine.WakeRules{}, whyNow))[1], "handed over unready after 60.0 s: its service smb (445/tcp) is not ready"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := toJSON(&s, time.Time{}, whyNow).LastWake.NotReady; len(got) != 1 || got[0] != "192.0.2.5:445/tcp" {
		t.Errorf("the API says %q", got)
	}
}

// TestAwaitsItsRegistration: only what counts as awake, is not agentless and never registered.
func TestAwaitsItsRegistration(t *testing.T) {
	for want, change := range map[string]func(*machine.Status){
		"waits for its first registration": func(*machine.Status) {},
		"agentless":                        func(s *machine.Status) { s.Agentless = true },
		"registered":                       func(s *machine.Status) { s.Registered = whyNow },
		"asleep":                           func(s *machine.Status) { s.State = machine.Asleep },
	} {
		s := sleeper()
		s.State = machine.Awake
		change(&s)
		waits := strings.HasPrefix(want, "waits")
		if got := toJSON(&s, time.Time{}, whyNow).Awaits; got != waits {
			t.Errorf("%s: the API says %v", want, got)
		}
		if r := rowOf(&s, detailSources{}, &Look{}, time.Time{}, whyNow); (r.Stuck == want) != waits {
			t.Errorf("%s: the page says %q", want, r.Stuck)
		}
	}
}
