package web

import (
	"net/netip"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// machineJSON is a machine as the API shows it. It is spelt out, field by field,
// so that a new field of machine.Spec is not published by accident: the SecureOn
// password never is.
type machineJSON struct {
	Name           string            `json:"name"`
	MAC            ether.MAC         `json:"mac"`
	WakeMAC        ether.MAC         `json:"wake_mac,omitzero"`
	State          machine.State     `json:"state"`
	Since          string            `json:"since"` // RFC 3339
	Monitor        []addressJSON     `json:"monitor"`
	Addresses      []standingJSON    `json:"addresses"`
	Arrival        *arrivalJSON      `json:"arrival,omitempty"` // in state arriving
	LastWake       *lastWakeJSON     `json:"last_wake"`         // null: never woken
	SleptSeconds   float64           `json:"slept_seconds"`
	SleptDays      []dayJSON         `json:"slept_days"` // a week of them, oldest first; the last is today
	SavedJoules    float64           `json:"saved_joules"`
	WakeAttempts   uint64            `json:"wake_attempts"`
	Wakes          map[string]uint64 `json:"wakes"`             // by trigger
	WakeFailures   map[string]uint64 `json:"wake_failures"`     // by trigger
	Suppressed     map[string]uint64 `json:"knocks_suppressed"` // by reason
	Ignored        []ignoredJSON     `json:"ignored"`           // of these the last ones, the latest first
	ExternalStarts uint64            `json:"external_starts"`
	Conflicts      uint64            `json:"conflicts"`
	IdleWatts      float64           `json:"idle_watts"`
	SleepWatts     float64           `json:"sleep_watts"`
	Agentless      bool              `json:"agentless"`               // it need not register
	PausedUntil    string            `json:"paused_until,omitempty"`  // RFC 3339
	RegisteredAt   string            `json:"registered_at,omitempty"` // likewise
	HeardAt        string            `json:"heard_at,omitempty"`      // likewise
	CountedSince   string            `json:"counted_since,omitempty"` // likewise: what was slept, saved and counted
	WakeTimeout    float64           `json:"wake_timeout_seconds"`
	Awaits         bool              `json:"awaits_registration,omitempty"` // until then it is not watched
	Inquiry        machine.Inquiry   `json:"inquiry,omitempty"`             // in state awake, after a wake was requested
	WakeFailed     bool              `json:"wake_failed"`                   // its last wake, and it was not up since
}

type addressJSON struct {
	IP       string        `json:"ip"`
	MAC      ether.MAC     `json:"mac,omitzero"`       // of a guest
	Port     []string      `json:"port"`               // as in a registration: "22/tcp"
	Settings []serviceJSON `json:"settings,omitempty"` // of those services that have some of their own
}

// serviceJSON is what a service has of its own, as in a registration.
type serviceJSON struct {
	Port         string         `json:"port"`
	Ready        string         `json:"ready"`
	ReadyTimeout string         `json:"ready_timeout,omitempty"`
	Established  *bool          `json:"established,omitempty"`
	WakeFrom     []netip.Prefix `json:"wake_from,omitempty"`
}

// standingJSON is how one address stands, and why it cannot be claimed.
type standingJSON struct {
	IP       string           `json:"ip"`
	MAC      ether.MAC        `json:"mac,omitzero"` // of a guest
	Standing machine.Standing `json:"standing"`
	Reason   string           `json:"reason,omitempty"`
}

// Stuck reports whether the address cannot be claimed at present.
func (s *standingJSON) Stuck() bool {
	return s.Standing == machine.Waiting || s.Standing == machine.Conceded
}

// lastWakeJSON is who woke a machine, what for, and what came of it. Only those
// fields are there that have something to say.
type lastWakeJSON struct {
	At           string          `json:"at"` // RFC 3339
	Outcome      machine.Outcome `json:"outcome"`
	Trigger      string          `json:"trigger,omitempty"`
	Source       netip.AddrPort  `json:"source,omitzero"`
	Service      string          `json:"service,omitempty"`
	By           string          `json:"by,omitempty"`
	Attempts     int             `json:"attempts,omitempty"`
	BootSeconds  float64         `json:"boot_seconds,omitempty"`
	ReadySeconds float64         `json:"ready_seconds,omitempty"`
	Test         bool            `json:"test,omitempty"`      // it was asked for as a test
	NotReady     []string        `json:"not_ready,omitempty"` // services at the handover; not after a restart
}

type dayJSON struct {
	Date    string  `json:"date"` // 2026-11-22
	Seconds float64 `json:"seconds"`
}

// toJSON returns a machine that came up last at up, as far as that is remembered.
func toJSON(s *machine.Status, up, now time.Time) machineJSON {
	out := machineJSON{
		Name:           s.Name,
		MAC:            s.MAC,
		WakeMAC:        s.WakeMAC,
		State:          s.State,
		Since:          rfc3339(s.Since),
		Monitor:        make([]addressJSON, len(s.Monitor)),
		Addresses:      make([]standingJSON, len(s.Addresses)),
		SleptSeconds:   s.Slept(now).Seconds(),
		SavedJoules:    s.SavedJoules(now),
		WakeAttempts:   s.Tally.Attempts,
		Wakes:          make(map[string]uint64, len(machine.Triggers)),
		WakeFailures:   make(map[string]uint64, len(machine.Triggers)),
		Suppressed:     make(map[string]uint64, len(machine.Suppressions)),
		Ignored:        ignoredOf(s.Ignored),
		ExternalStarts: s.Tally.ExternalStarts,
		Conflicts:      s.Tally.Conflicts,
		IdleWatts:      s.IdleWatts,
		SleepWatts:     s.SleepWatts,
		Agentless:      s.Agentless,
		PausedUntil:    ifKnown(s.PausedUntil),
		RegisteredAt:   ifKnown(s.Registered),
		HeardAt:        ifKnown(s.Heard),
		CountedSince:   ifKnown(s.Counted),
		WakeTimeout:    s.WakeTimeout.Seconds(),
		Awaits:         awaitsRegistration(s),
		Inquiry:        s.Inquiry,
		WakeFailed:     failed(s, up),
	}
	for i, a := range s.Monitor {
		out.Monitor[i] = addressOf(&a)
	}
	for i, a := range s.Addresses {
		out.Addresses[i] = standingJSON{IP: a.IP.String(), MAC: a.MAC, Standing: a.Standing, Reason: a.Reason}
	}
	out.Arrival, out.LastWake = arrivalOf(&s.Arrival), lastWakeOf(&s.LastWake)
	if out.LastWake != nil && len(s.Unready) > 0 {
		out.LastWake.NotReady = machine.Names(s.Unready)
	}
	days := s.SleptDays(now)
	out.SleptDays = make([]dayJSON, len(days))
	for i, d := range days {
		out.SleptDays[i] = dayJSON{d.Date, d.Slept.Seconds()}
	}
	for _, t := range machine.Triggers {
		out.Wakes[t.String()] = s.Tally.Wakes[t]
		out.WakeFailures[t.String()] = s.Tally.Failures[t]
	}
	for _, why := range machine.Suppressions {
		out.Suppressed[why.String()] = s.Suppressed[why]
	}
	return out
}

func addressOf(a *machine.Address) addressJSON {
	out := addressJSON{IP: a.IP.String(), MAC: a.MAC, Port: make([]string, len(a.Ports))}
	for i, p := range a.Ports {
		out.Port[i] = p.String()
		if s, has := a.Settings[p]; has {
			own := serviceJSON{Port: p.String(), Ready: s.Ready.String(), Established: s.Established, WakeFrom: s.WakeFrom}
			if s.ReadyTimeout > 0 {
				own.ReadyTimeout = s.ReadyTimeout.String()
			}
			out.Settings = append(out.Settings, own)
		}
	}
	return out
}

// lastWakeOf returns nil for a machine that was never woken.
func lastWakeOf(w *machine.LastWake) *lastWakeJSON {
	if w.At.IsZero() {
		return nil
	}
	out := &lastWakeJSON{
		At: rfc3339(w.At), Outcome: w.Outcome, Source: w.Source, By: w.By, Attempts: w.Attempts,
		BootSeconds: w.Boot.Seconds(), ReadySeconds: w.Ready.Seconds(), Test: w.Test,
	}
	if w.Known() {
		out.Trigger = w.Trigger.String()
	}
	if w.Service.Addr.IsValid() {
		out.Service = w.Service.String()
	}
	return out
}

// lastUp returns when each machine came up last, as far as that is remembered.
func lastUp(events []journal.Event) map[string]time.Time {
	up := make(map[string]time.Time)
	for i := range events {
		if e := &events[i]; e.Kind == journal.Ready || e.Kind == journal.Awake || e.Kind == journal.ExternalStart {
			up[e.Machine] = e.At
		}
	}
	return up
}

// failed reports whether a machine's last wake failed, and the machine was not seen up
// since. Who tests a machine sees the result at once.
func failed(s *machine.Status, up time.Time) bool {
	return s.LastWake.Outcome == machine.GivenUp && !s.LastWake.Test && s.LastWake.At.After(up) && s.State != machine.Awake && s.State != machine.Arriving
}

// awaitsRegistration reports whether nothing says so far that the machine is here. It
// counts as awake until then.
func awaitsRegistration(s *machine.Status) bool {
	return s.State == machine.Awake && !s.Agentless && s.Registered.IsZero()
}
