package journal

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// victimDir in the environment makes this program write a journal there.
const victimDir = "JOURNAL_VICTIM"

const (
	victimMachines = 5
	victimLimit    = 16 << 10 // so that files are replaced as well
)

// victim appends until it is killed, and prints the number of each record that
// the journal reported durable.
func victim(dir string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	d, err := openFolder(dir, log)
	if err != nil {
		return err
	}
	j, past, err := open(d, d, victimLimit, hostClock(), log)
	if err != nil {
		return err
	}
	n := 0
	for _, m := range past.Machines {
		n = max(n, int(m.Tally.Attempts))
	}
	for {
		n++
		m := memoryOf(n % victimMachines)
		m.Tally.Attempts = uint64(n)
		j.Append(Record{Event: Event{Kind: Magic, Attempts: n}, Memory: m})
		if n%3 == 0 {
			continue // goes with the next one
		}
		if err := j.Sync(context.Background()); err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

// TestKilled: what was acknowledged is there after kill -9, at whatever moment.
func TestKilled(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(4, 9))
	for round := range rounds {
		acknowledged := untilKilled(t, dir, 1+random.IntN(30))
		j, past, l := opened(t, dir)
		if bad := l.lines("unfit"); len(bad) > 0 {
			t.Fatalf("round %d: %s", round, bad)
		}
		if n := len(past.Events); n == 0 || past.Events[n-1].Attempts < acknowledged {
			t.Fatalf("round %d: event %d was acknowledged, and is lost", round, acknowledged)
		}
		for _, m := range past.Machines {
			// Of the last five numbers each belongs to another machine.
			if got := int(m.Tally.Attempts); got <= acknowledged-victimMachines {
				t.Fatalf("round %d: %s is at %d, though %d was acknowledged", round, m.Spec.Name, got, acknowledged)
			}
		}
		closed(t, j)
	}
}

// untilKilled runs a victim, kills it some time after so many acknowledgements, and
// returns the last one.
func untilKilled(t *testing.T, dir string, after int) (acknowledged int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	for n := 0; ; n++ {
		if n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		line, err := in.ReadString('\n')
		if err != nil {
			break // what is in the pipe has been read to its end
		}
		if acknowledged, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the process ended by itself: %v", err)
	}
	return acknowledged
}
