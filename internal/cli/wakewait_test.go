package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

func TestWakeWaits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		state  machine.State // before
		events []journal.Event
		wait   string
		code   int
		last   string // begins the last line
		lines  int
		awake  bool
		kind   journal.Kind
	}{
		{"ready", machine.Asleep, []journal.Event{
			{Kind: journal.Asked, By: "192.0.2.9:1"}, {Kind: journal.Magic, Attempts: 1}, {Kind: journal.Arrived},
			{Kind: journal.Ready, Boot: time.Second, Ready: 2 * time.Second},
		}, "20s", 0, "nas is awake after ", 5, true, journal.Ready},
		{"failed", machine.Asleep, []journal.Event{{Kind: journal.Magic, Attempts: 1}, {Kind: journal.Failed, Attempts: 1, Trigger: "api", By: "192.0.2.9:1"}},
			"20s", 1, "nas did not wake: no answer to 1 round of magic packets, for 192.0.2.9", 3, false, journal.Failed},
		{"forgotten", machine.Asleep, []journal.Event{{Kind: journal.Forgotten}}, "20s", 1, "nas is not awake: forgotten", 2, false, journal.Forgotten},
		{"did not fall asleep", machine.Settling, []journal.Event{{Kind: journal.Awake}}, "20s", 0, "nas is awake after ", 2, true, journal.Awake},
		{"external start", machine.Settling, []journal.Event{{Kind: journal.ExternalStart}}, "20s", 0, "nas is awake after ", 2, true, journal.ExternalStart},
		{"awake", machine.Awake, nil, "20s", 0, "nas is awake: it counted as awake, and was heard 0.", 1, true, ""},
		{"awake, and not ready", machine.Asleep, []journal.Event{{Kind: journal.Ready, NotReady: []string{"192.0.2.1:445/tcp"}}},
			"20s", 2, "nas answers, but after ", 2, false, journal.Ready},
		{"not in time", machine.Asleep, []journal.Event{{Kind: journal.Magic, Attempts: 1}}, "1s", 2, "nas is not awake after ", 2, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, asJSON := range []bool{false, true} {
				h := newTwoMachines()
				h.machines[1].State, h.machines[1].Inquiry = tt.state, machine.InquiryAnswered
				h.onWake = func(j *journal.Journal) {
					j.Append(journal.Record{Event: journal.Event{At: testTime, Kind: journal.Failed, Machine: "pc"}}) // of another
					for _, e := range tt.events {
						e.At, e.Machine = testTime, "nas"
						j.Append(journal.Record{Event: e})
					}
				}
				args := []string{"wake", "nas", "--wait", tt.wait, "--from", servePorter(t, h, web.Access{})}
				if asJSON {
					args = append(args, "--json")
				}
				code, out, errs := runCommand(t, args...)
				if code != tt.code || errs != "" {
					t.Errorf("exit code %d, %q; want %d", code, errs, tt.code)
				}
				if asJSON {
					var got wakeOutcome
					if err := json.Unmarshal([]byte(out), &got); err != nil {
						t.Fatalf("%v in %s", err, out)
					}
					if got.Machine != "nas" || got.Awake != tt.awake || (got.Event == nil) != (tt.kind == "") || got.Event != nil && got.Event.Kind != tt.kind {
						t.Errorf("%s, want awake: %v by %q", out, tt.awake, tt.kind)
					}
					continue
				}
				lines := strings.SplitAfter(strings.TrimSuffix(out, "\n"), "\n")
				if len(lines) != tt.lines || !strings.HasPrefix(lines[len(lines)-1], tt.last) {
					t.Errorf("printed\n%swant %d lines, the last %q", out, tt.lines, tt.last)
				}
			}
		})
	}
}

// A porter that stops during the wait is an error. Ctrl-C prints nothing.
func TestWakeWaitFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*journal.Journal, context.CancelFunc)
		code int
		want string
	}{
		{"the porter stops", func(j *journal.Journal, _ context.CancelFunc) { go j.Close() }, 1, "nightporter: the porter closed the event stream\n"},
		{"Ctrl-C", func(_ *journal.Journal, cancel context.CancelFunc) { cancel() }, interrupted, ""},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		h := newTwoMachines()
		h.onWake = func(j *journal.Journal) { tt.end(j, cancel) }
		var out, errs bytes.Buffer
		code := Run(ctx, []string{"wake", "nas", "--wait", "20s", "--from", servePorter(t, h, web.Access{})}, &out, &errs)
		if code != tt.code || errs.String() != tt.want {
			t.Errorf("%s: exit code %d, %q, want %d, %q", tt.name, code, errs.String(), tt.code, tt.want)
		}
	}
}

// TestWakeWaitsForAFrame of a machine that counts as awake.
func TestWakeWaitsForAFrame(t *testing.T) {
	for name, tt := range map[string]struct {
		inquiry machine.Inquiry
		heard   time.Time
		code    int
		want    string
	}{
		"probed, silent":          {machine.InquiryOpen, time.Time{}, 2, "(never heard)\n"},
		"probed, a frame of it":   {machine.InquiryOpen, testTime, 2, "after the magic packet (last heard "},
		"not probed, never heard": {machine.NoInquiry, time.Time{}, 2, "nas counts as awake, but was not heard for 0."},
		"not probed, heard":       {machine.NoInquiry, testTime, 0, "nas is awake: it counted as awake, and was heard 0."},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTwoMachines()
			nas := &h.machines[1]
			nas.State, nas.Inquiry, nas.Heard = machine.Awake, tt.inquiry, time.Time{}
			h.onThirdRead = func() { nas.Heard = tt.heard }
			code, out, errs := runCommand(t, "wake", "nas", "--wait", "500ms", "--from", servePorter(t, h, web.Access{}))
			if code != tt.code || errs != "" || !strings.Contains(out, tt.want) {
				t.Errorf("exit code %d, %q %q; want %d, %q", code, out, errs, tt.code, tt.want)
			}
		})
	}
}

// TestWakeFollowsAMachineThatIsOff and counted as awake.
func TestWakeFollowsAMachineThatIsOff(t *testing.T) {
	h := newTwoMachines()
	nas := &h.machines[1]
	nas.State, nas.Inquiry = machine.Awake, machine.InquiryOpen
	h.onThirdRead = func() {
		nas.State = machine.Waking
		for _, kind := range []journal.Kind{journal.Settling, journal.Asleep, journal.Magic, journal.Ready} {
			h.journal.Append(journal.Record{Event: journal.Event{At: testTime, Kind: kind, Machine: "nas"}})
		}
	}
	code, out, _ := runCommand(t, "wake", "nas", "--wait", "20s", "--from", servePorter(t, h, web.Access{}))
	if lines := strings.Count(out, "\n"); code != 0 || lines != 5 || !strings.Contains(out, "nas is awake after ") {
		t.Errorf("exit code %d, %s", code, out)
	}
}

// TestWakeWithoutWaiting prints the machine's state.
func TestWakeWithoutWaiting(t *testing.T) {
	h := newTwoMachines()
	h.machines[1].State, h.machines[1].Heard = machine.Awake, time.Time{}
	code, out, _ := runCommand(t, "wake", "nas", "--from", servePorter(t, h, web.Access{}))
	if want := "nas counts as awake (never heard); one magic packet was sent anyway\n"; code != 0 || out != want {
		t.Errorf("exit code %d, %q, want %q", code, out, want)
	}
}
