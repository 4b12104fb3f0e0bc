package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// FuzzShowTable: any event from a porter is one printable line.
func FuzzShowTable(f *testing.F) {
	f.Add(`{"kind":"knock","machine":"nas","source":"192.0.2.9:1","service":"192.0.2.5:22/tcp"}`)
	f.Add(`{"kind":"refused","reason":"\u001b[2J\n\u202e","mac":"02:00:00:00:00:01"}`)
	f.Add(`{"kind":"\u009b_x","machine":"` + strings.Repeat("w", 300) + `","slept_seconds":-1e300,"by":"\r"}`)
	f.Add(`{"kind":"ready","boot_seconds":1e9,"ready_seconds":0.1,"reason":"x"}`)
	f.Add(`{"kind":"conflict","ip":"fe80::1%\u0007"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var e journal.Event
		if json.Unmarshal([]byte(text), &e) != nil {
			return
		}
		var out strings.Builder
		if err := showTable(&out)(e); err != nil {
			t.Fatal(err)
		}
		line, rest, whole := strings.Cut(out.String(), "\n")
		if !whole || rest != "" {
			t.Errorf("not one line: %q", out.String())
		}
		if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("not printable at %d: %q", i, line)
		}
		if name := e.Machine; name != "" && printable(name) == name && !strings.Contains(line, name) {
			t.Errorf("%q lacks the machine", line)
		}
	})
}

// Columns are aligned with and without color.
func TestRows(t *testing.T) {
	rows := [][]string{{"MACHINE", "STATE", "SINCE"}, {"nas", "asleep", "1 h ago"}, {"küche", "awake", "just now", "! x"}}
	var withoutColor, colored strings.Builder
	if err := writeRows(&withoutColor, rows, func(_ int, _, padded string) string { return padded }); err != nil {
		t.Fatal(err)
	}
	const want = "MACHINE  STATE   SINCE\nnas      asleep  1 h ago\nküche    awake   just now  ! x\n"
	if withoutColor.String() != want {
		t.Errorf("printed\n%swant\n%s", withoutColor.String(), want)
	}
	if err := writeRows(&colored, rows, func(_ int, cell, padded string) string { return colorize(cell, padded) }); err != nil {
		t.Fatal(err)
	}
	blue := stateColors[machine.Asleep.String()]
	if !strings.Contains(colored.String(), "nas      "+blue+"asleep  "+colorOff+"1 h ago") {
		t.Errorf("printed %q", colored.String())
	}
}
