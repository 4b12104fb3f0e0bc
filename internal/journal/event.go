package journal

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"nightporter/internal/ether"
)

// Kind is the kind of an event. The names are part of the file format.
type Kind string

// The kinds of events.
const (
	Registered    Kind = "registered"    // the machine registered that it goes to sleep, or that it is up
	Refused       Kind = "refused"       // a registration was not accepted
	Settling      Kind = "settling"      // the porter probes whether the machine is off
	Asleep        Kind = "asleep"        // its addresses are claimed
	Knock         Kind = "knock"         // a client wants one of its services
	Asked         Kind = "asked"         // a wake was requested
	Magic         Kind = "magic"         // a magic packet went out
	Arrived       Kind = "arrived"       // it is up, its services are not ready
	Ready         Kind = "ready"         // it was handed over
	Failed        Kind = "failed"        // a wake was given up
	ExternalStart Kind = "hand_start"    // external start: the porter did not wake it
	Awake         Kind = "awake"         // it is up for any other reason
	Conflict      Kind = "conflict"      // one of its addresses was conceded to another host
	ConflictOver  Kind = "conflict_over" // no other host answers for that address any more
	Forgotten     Kind = "forgotten"     // it is no longer known
	Suppressed    Kind = "suppressed"    // a knock that was not allowed to wake

	Waiting      Kind = "address_waiting"   // an address of it cannot be claimed at present
	Proved       Kind = "address_claimable" // that address can be claimed now
	Elsewhere    Kind = "elsewhere"         // the machine is up, at another address than those it registered
	CardReplaced Kind = "card_replaced"     // its name has moved to another MAC
	Redefined    Kind = "redefined"         // its registration changed while it slept
	Renamed      Kind = "renamed"           // its name differs from the requested one, or changed

	CommandFailed Kind = "command_failed" // its wake command failed

	Paused       Kind = "paused"        // it is paused until a time
	Resumed      Kind = "resumed"       // the pause ended
	ServiceReady Kind = "service_ready" // in a test: one of its services is ready

	// Of the porter itself, and of no machine.
	Started      Kind = "started"       // it started; Reason is set if the run before did not end in order
	Reloaded     Kind = "reloaded"      // a new configuration is in effect
	ReloadFailed Kind = "reload_failed" // a new configuration was not taken over
)

// Event is one entry of the history. At, Seq and Kind are always set, other fields
// depend on the kind. In JSON, durations are in seconds, to the microsecond.
type Event struct {
	At   time.Time
	Seq  uint64 // set by Append; counts from 1, and continues after a restart
	Kind Kind

	Machine  string // its name
	MAC      ether.MAC
	IP       netip.Addr     // the address that the event concerns
	Source   netip.AddrPort // sender of the knock or request; port 0 if it has none
	Service  string         // destination of the knock, as in "192.0.2.5:22/tcp"
	Trigger  string         // of a wake
	By       string         // requester, other user of the address, or former MAC
	Reason   string
	Attempts int           // magic packets so far
	Boot     time.Duration // from the first magic packet to the first frame
	Ready    time.Duration // from the first magic packet to the handover
	Slept    time.Duration
	Until    time.Time // the end of a pause
	NotReady []string  // services that could not take clients at the handover
	Test     bool      // part of a test wake, whose failure is not notified
	Version  string    // of the porter that started
	Machines int       // known from the journal
}

// eventForm is an event in JSON.
type eventForm struct {
	Seq      uint64         `json:"seq"`
	At       moment         `json:"at,omitzero"`
	Kind     Kind           `json:"kind"`
	Machine  string         `json:"machine,omitempty"`
	MAC      ether.MAC      `json:"mac,omitzero"`
	IP       netip.Addr     `json:"ip,omitzero"`
	Source   netip.AddrPort `json:"source,omitzero"`
	Service  string         `json:"service,omitempty"`
	Trigger  string         `json:"trigger,omitempty"`
	By       string         `json:"by,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	Attempts int            `json:"attempts,omitempty"`
	Boot     seconds        `json:"boot_seconds,omitempty"`
	Ready    seconds        `json:"ready_seconds,omitempty"`
	Slept    seconds        `json:"slept_seconds,omitempty"`
	Until    moment         `json:"until,omitzero"`
	NotReady []string       `json:"not_ready,omitempty"`
	Test     bool           `json:"test,omitempty"`
	Version  string         `json:"version,omitempty"`
	Machines int            `json:"machines,omitempty"`
}

// MarshalJSON implements json.Marshaler. It does not fail.
func (e Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(eventForm{
		Seq: e.Seq, At: moment{e.At}, Kind: e.Kind, Machine: e.Machine, MAC: e.MAC, IP: e.IP, Source: e.Source,
		Service: e.Service, Trigger: e.Trigger, By: e.By, Reason: e.Reason, Attempts: e.Attempts,
		Boot: inSeconds(e.Boot), Ready: inSeconds(e.Ready), Slept: inSeconds(e.Slept),
		Until: moment{e.Until}, NotReady: e.NotReady, Test: e.Test, Version: e.Version, Machines: e.Machines,
	})
}

// UnmarshalJSON implements json.Unmarshaler. Unknown fields are ignored, and
// unknown kinds kept.
func (e *Event) UnmarshalJSON(b []byte) error {
	var f eventForm
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	*e = Event{
		Seq: f.Seq, At: f.At.Time, Kind: f.Kind, Machine: f.Machine, MAC: f.MAC, IP: f.IP, Source: f.Source,
		Service: f.Service, Trigger: f.Trigger, By: f.By, Reason: f.Reason, Attempts: f.Attempts,
		Boot: f.Boot.duration(), Ready: f.Ready.duration(), Slept: f.Slept.duration(),
		Until: f.Until.Time, NotReady: f.NotReady, Test: f.Test, Version: f.Version, Machines: f.Machines,
	}
	return nil
}

// maxText bounds a text of an event, in bytes: some come from the network.
const maxText = 256

// Bounds of a list of services, each of which is shorter.
const (
	maxNotReady = 8
	maxService  = 64
)

// bound limits the texts and lists of e: some come from the network.
func (e *Event) bound() {
	for _, s := range []*string{&e.Machine, &e.Service, &e.Trigger, &e.By, &e.Reason, &e.Version} {
		*s = bounded(*s)
	}
	e.NotReady = e.NotReady[:min(maxNotReady, len(e.NotReady))]
	for i, s := range e.NotReady {
		if len(s) > maxService {
			e.NotReady = slices.Clone(e.NotReady)
			e.NotReady[i] = shortened(s, maxService)
		}
	}
}

func bounded(s string) string { return shortened(s, maxText) }

// shortened returns the first of s in UTF-8, so many bytes at most. Where some is left out
// an ellipsis says so.
func shortened(s string, most int) string {
	const ellipsis = "…"
	if len(s) > most {
		cut := most - len(ellipsis)
		for least := cut - utf8.UTFMax; cut > least && !utf8.RuneStart(s[cut]); {
			cut--
		}
		s = s[:cut] + ellipsis // a copy, or the rest would be kept as well
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
