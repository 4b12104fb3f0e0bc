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

// silentServer returns the address of a server that accepts connections and never answers.
func silentServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // the kernel completes the handshakes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// startWatch runs status --watch, and returns its lines, its exit code and its errors.
func startWatch(t *testing.T, ctx context.Context, args ...string) (*bufio.Scanner, <-chan int, *strings.Builder) {
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

// The machines are shown again after an event. Ctrl-C ends the command with exit code 0.
func TestStatusWatch(t *testing.T) {
	for _, name := range []string{"", "nas"} {
		h := newTwoMachines()
		h.onWake = func(j *journal.Journal) {
			j.Append(journal.Record{Event: journal.Event{At: testTime, Kind: journal.Magic, Machine: "nas", Attempts: 1}})
		}
		url := servePorter(t, h, web.Access{})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		args := []string{"--from", url}
		if name != "" {
			args = append(args, name)
		}
		lines, code, errs := startWatch(t, ctx, args...)
		states := []machine.State{machine.Asleep, machine.Waking}
		for lines.Scan() && len(states) > 0 {
			if !strings.HasPrefix(lines.Text(), "nas ") && !strings.HasPrefix(lines.Text(), "state ") || !strings.Contains(lines.Text(), states[0].String()) {
				continue
			}
			if states = states[1:]; len(states) == 1 {
				if code, _, errs := runCommand(t, "wake", "nas", "--from", url); code != 0 {
					t.Fatal(errs)
				}
			} else {
				cancel()
			}
		}
		for lines.Scan() { // until the command ends
		}
		if c := <-code; c != 0 || errs.String() != "" || len(states) > 0 {
			t.Errorf("%q: exit code %d, %q; not seen: %v", name, c, errs, states)
		}
	}
}

// A porter that stops ends the command with an error.
func TestStatusWatchEnds(t *testing.T) {
	h := newTwoMachines()
	url := servePorter(t, h, web.Access{})
	lines, code, errs := startWatch(t, t.Context(), "--from", url)
	if !lines.Scan() || !strings.Contains(lines.Text(), "ready, 1 of 2 machines asleep") {
		t.Fatalf("first %q", lines.Text())
	}
	go h.journal.Close()
	for lines.Scan() {
	}
	if c := <-code; c != 1 || errs.String() != "nightporter: the porter closed the event stream\n" {
		t.Errorf("exit code %d, %q", c, errs)
	}
}
