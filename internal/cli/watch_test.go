package cli

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// silent returns the address of a server that takes connections and answers nothing.
func silent(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts for us
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// watching runs status --watch, and returns its lines and its end.
func watching(t *testing.T, ctx context.Context, args ...string) (*bufio.Scanner, <-chan int, *strings.Builder) {
	t.Helper()
	read, written := io.Pipe()
	var errs strings.Builder
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, append([]string{"status", "--watch"}, args...), written, &errs)
		written.Close()
	}()
	return bufio.NewScanner(read), code, &errs
}

// An event has the machines shown again, and Ctrl-C is an end like any other.
func TestStatusWatch(t *testing.T) {
	for _, name := range []string{"", "nas"} {
		h := twoMachines()
		h.wake = func(j *journal.Journal) {
			j.Append(journal.Record{Event: journal.Event{At: evening, Kind: journal.Magic, Machine: "nas", Attempts: 1}})
		}
		url := staff(t, h, web.Access{})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		args := []string{"--from", url}
		if name != "" {
			args = append(args, name)
		}
		lines, code, errs := watching(t, ctx, args...)
		states := []machine.State{machine.Asleep, machine.Waking}
		for lines.Scan() && len(states) > 0 {
			if !strings.HasPrefix(lines.Text(), "nas ") && !strings.HasPrefix(lines.Text(), "state ") || !strings.Contains(lines.Text(), states[0].String()) {
				continue
			}
			if states = states[1:]; len(states) == 1 {
				if code, _, errs := program(t, "wake", "nas", "--from", url); code != 0 {
					t.Fatal(errs)
				}
			} else {
				cancel()
			}
		}
		for lines.Scan() { // until the command has ended
		}
		if c := <-code; c != 0 || errs.String() != "" || len(states) > 0 {
			t.Errorf("%q: exit code %d, %q; not seen: %v", name, c, errs, states)
		}
	}
}

// A porter that stops ends it.
func TestStatusWatchEnds(t *testing.T) {
	h := twoMachines()
	url := staff(t, h, web.Access{})
	lines, code, errs := watching(t, t.Context(), "--from", url)
	if !lines.Scan() || !strings.Contains(lines.Text(), "ready, 1 of 2 machines asleep") {
		t.Fatalf("first %q", lines.Text())
	}
	go h.journal.Close()
	for lines.Scan() {
	}
	if c := <-code; c != 1 || errs.String() != "nightporter: the porter ended the stream of events\n" {
		t.Errorf("exit code %d, %q", c, errs)
	}
}

// The colours take no room: columns stand as without them.
func TestRows(t *testing.T) {
	rows := [][]string{{"MACHINE", "STATE", "SINCE"}, {"nas", "asleep", "1 h ago"}, {"küche", "awake", "just now", "! x"}}
	var plainly, colored strings.Builder
	if err := writeRows(&plainly, rows, func(_ int, _, padded string) string { return padded }); err != nil {
		t.Fatal(err)
	}
	const want = "MACHINE  STATE   SINCE\nnas      asleep  1 h ago\nküche    awake   just now  ! x\n"
	if plainly.String() != want {
		t.Errorf("printed\n%swant\n%s", plainly.String(), want)
	}
	if err := writeRows(&colored, rows, func(_ int, cell, padded string) string { return painted(cell, padded) }); err != nil {
		t.Fatal(err)
	}
	blue := stateColors[machine.Asleep.String()]
	if !strings.Contains(colored.String(), "nas      "+blue+"asleep  "+plain+"1 h ago") {
		t.Errorf("printed %q", colored.String())
	}
}

// The list shows which of the sleeping machines did not wake.
func TestStatusOfAFailedWake(t *testing.T) {
	h := twoMachines()
	h.machines[1].LastWake.Outcome = machine.GivenUp
	url := staff(t, h, web.Access{})
	code, out, errs := program(t, "status", "--from", url)
	if code != 0 || errs != "" || !contains(out, ": ready, 1 of 2 machines asleep, 1 did not wake\n", "nas      asleep, did not wake  ") {
		t.Errorf("exit code %d, %q, %s", code, errs, out)
	}
	if _, out, _ := program(t, "status", "nas", "--from", url); !contains(out, "state              asleep, did not wake\n") {
		t.Errorf("of one: %s", out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	lines, _, _ := watching(t, ctx, "--from", url)
	seen := false
	for !seen && lines.Scan() {
		seen = strings.Contains(lines.Text(), "asleep, did not wake")
	}
	if !seen {
		t.Error("it is not watched")
	}
	cancel()
	for lines.Scan() { // until the command has ended
	}
	m := web.Machine{State: machine.Asleep, WakeFailed: true}
	const red = "\x1b[31m"
	if got := (&statusFlags{color: true}).state(&m); got != red+"asleep, did not wake"+plain {
		t.Errorf("on a terminal: %q", got)
	}
}
