package journal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// machineForm is the memory of a machine in JSON. The names are the file's
// format and have nothing to do with those of the Go types.
type machineForm struct {
	MAC        ether.MAC      `json:"mac"`
	WakeMAC    ether.MAC      `json:"wake_mac,omitzero"`
	Name       string         `json:"name"`
	Monitor    []addressForm  `json:"monitor,omitempty"`
	IdleWatts  float64        `json:"idle_watts,omitempty"`
	SleepWatts float64        `json:"sleep_watts,omitempty"`
	Password   string         `json:"password,omitempty"` // hexadecimal
	Secret     string         `json:"secret,omitempty"`   // hexadecimal
	WakeFrom   []netip.Prefix `json:"wake_from,omitempty"`
	Agentless  bool           `json:"agentless,omitempty"`
	Unwatched  bool           `json:"unwatched,omitempty"`
	State      string         `json:"state"`
	Since      moment         `json:"since,omitzero"`
	LastWake   moment         `json:"last_wake,omitzero"`
	Wake       *wakeForm      `json:"wake,omitempty"` // of LastWake
	Takes      takesForm      `json:"takes,omitzero"`
	Registered moment         `json:"registered,omitzero"`
	Heard      moment         `json:"heard,omitzero"`
	Tally      tallyForm      `json:"tally,omitzero"`
	Diary      diaryForm      `json:"diary,omitempty"`
	Knocks     knocksForm     `json:"knocks,omitempty"`
	Card       bool           `json:"card_answers,omitempty"`
	Unproved   []netip.Addr   `json:"unproved,omitempty"`
	Others     []netip.Addr   `json:"others,omitempty"`
	Failures   int            `json:"failed_in_a_row,omitempty"` // wakes
	Paused     moment         `json:"paused_until,omitzero"`
	Counted    moment         `json:"counted_since,omitzero"`

	NameOfEntry bool `json:"name_of_entry,omitempty"`
}

// takesForm is the known boot and start times of a machine in JSON.
type takesForm struct {
	Boot     span `json:"boot,omitempty"`
	Services span `json:"services,omitempty"`
}

type tallyForm struct {
	Attempts       uint64            `json:"magic_packets,omitempty"`
	Wakes          map[string]uint64 `json:"wakes,omitempty"`    // by trigger
	Failures       map[string]uint64 `json:"failures,omitempty"` // by trigger
	ExternalStarts uint64            `json:"hand_starts,omitempty"`
	Conflicts      uint64            `json:"conflicts,omitempty"`
	SettleTimeouts uint64            `json:"settle_timeouts,omitempty"`
	Slept          span              `json:"slept,omitempty"`
	SavedJoules    float64           `json:"saved_joules,omitempty"`
}

// formOf returns m in JSON, for a record of now. Its times are on the clock of now,
// so that a reader of the record knows their ages.
func formOf(m *machine.Memory, now time.Time) *machineForm {
	f := &machineForm{
		MAC: m.Spec.MAC, WakeMAC: m.Spec.WakeMAC, Name: bounded(m.Spec.Name), WakeFrom: first(machine.MaxWakeFrom, m.Spec.WakeFrom),
		Monitor: addressFormsOf(m.Spec.Monitor), Agentless: m.Spec.Agentless, Unwatched: m.Spec.Unwatched,
		IdleWatts: finite(m.Spec.IdleWatts), SleepWatts: finite(m.Spec.SleepWatts),
		Password: hex.EncodeToString(m.Spec.Password), Secret: secretText(m.Spec.Secret),
		Card: m.NICAnswers, Failures: m.Failures, NameOfEntry: m.NameConfigured,
		Unproved: first(machine.MaxAddresses, m.Unproved), Others: first(maxOthers, m.OtherAddrs),
		State: m.State.String(), Since: moment{machine.OnClock(m.Since, now)},
		LastWake: moment{machine.OnClock(m.LastWake.At, now)}, Registered: moment{machine.OnClock(m.Registered, now)},
		Heard: moment{machine.OnClock(m.Heard, now)}, Paused: moment{machine.OnClock(m.Paused, now)},
		Counted: moment{machine.OnClock(m.Counted, now)},
		Tally: tallyForm{
			Attempts: m.Tally.Attempts, Wakes: byTrigger(m.Tally.Wakes), Failures: byTrigger(m.Tally.Failures),
			ExternalStarts: m.Tally.ExternalStarts, Conflicts: m.Tally.Conflicts, SettleTimeouts: m.Tally.SettleTimeouts,
			Slept: span(m.Tally.Slept), SavedJoules: finite(m.Tally.SavedJoules),
		},
		Takes: takesForm{Boot: span(m.BootTimes.Boot), Services: span(m.BootTimes.Services)},
		Wake:  wakeFormOf(&m.LastWake), Diary: diaryFormOf(m.SleepLog.Bounded()), Knocks: knocksFormOf(first(machine.MaxServices, m.Knocks)),
	}
	return f
}

func (f *machineForm) memory() (machine.Memory, error) {
	state, err := parseState(f.State)
	if err != nil {
		return machine.Memory{}, err
	}
	monitor, err := addressesOf(f.Monitor)
	if err != nil {
		return machine.Memory{}, err
	}
	password, err := hex.DecodeString(f.Password)
	if err != nil {
		return machine.Memory{}, errors.New("password: not hexadecimal") // it is a secret, and not repeated
	}
	secret, err := secretOf(f.Secret)
	if err != nil {
		return machine.Memory{}, err
	}
	m := machine.Memory{
		Spec: machine.Spec{
			Name: f.Name, MAC: f.MAC, WakeMAC: f.WakeMAC, IdleWatts: f.IdleWatts, SleepWatts: f.SleepWatts, WakeFrom: f.WakeFrom,
			Secret:  secret,
			Monitor: monitor, Agentless: f.Agentless, Unwatched: f.Unwatched,
		},
		NICAnswers: f.Card, Heard: f.Heard.Time, Failures: max(0, f.Failures), Paused: f.Paused.Time, Counted: f.Counted.Time,
		NameConfigured: f.NameOfEntry,
		Unproved:       first(machine.MaxAddresses, hostAddresses(f.Unproved)), OtherAddrs: first(maxOthers, hostAddresses(f.Others)),
		SleepLog: f.Diary.diary(), Knocks: f.Knocks.knocks(),
		BootTimes: machine.BootTimes{Boot: f.Takes.Boot.within(longestTaken), Services: f.Takes.Services.within(longestTaken)},
		State:     state, Since: f.Since.Time, LastWake: f.Wake.lastWake(f.LastWake.Time), Registered: f.Registered.Time,
		Tally: machine.Tally{
			Attempts: f.Tally.Attempts, Wakes: ofTriggers(f.Tally.Wakes), Failures: ofTriggers(f.Tally.Failures),
			ExternalStarts: f.Tally.ExternalStarts, Conflicts: f.Tally.Conflicts, SettleTimeouts: f.Tally.SettleTimeouts,
			Slept: f.Tally.Slept.within(century), SavedJoules: min(max(0, f.Tally.SavedJoules), mostJoules),
		},
	}
	if len(password) > 0 {
		m.Spec.Password = password
	}
	return m, checkSpec(&m.Spec)
}

// secretText is empty for no secret.
func secretText(s machine.Secret) string {
	if s == (machine.Secret{}) {
		return ""
	}
	return hex.EncodeToString(s[:])
}

func secretOf(text string) (s machine.Secret, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 0 && len(b) != len(s) {
		return machine.Secret{}, fmt.Errorf("secret: expected %d bytes in hexadecimal", len(s)) // it is not repeated
	}
	copy(s[:], b)
	return s, nil
}

func parseState(name string) (machine.State, error) {
	for _, s := range machine.States {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("state: found %q, expected one of %v", name, machine.States)
}

func byTrigger(counts [len(machine.Triggers)]uint64) map[string]uint64 {
	var m map[string]uint64
	for _, t := range machine.Triggers {
		if counts[t] == 0 {
			continue
		}
		if m == nil {
			m = make(map[string]uint64, len(counts))
		}
		m[t.String()] = counts[t]
	}
	return m
}

// ofTriggers is the inverse of byTrigger. It leaves out triggers that only a
// newer version knows.
func ofTriggers(m map[string]uint64) (counts [len(machine.Triggers)]uint64) {
	for _, t := range machine.Triggers {
		counts[t] = m[t.String()]
	}
	return counts
}
