package wakecmd

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nightporter/internal/ether"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a Runner whose programs write to a directory.
type fixture struct {
	*testing.T
	*Runner
	dir string

	mu     sync.Mutex
	output bytes.Buffer
	told   []string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, dir: t.TempDir()}
	log := slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.Runner = New(log, func(j Job, err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.told = append(f.told, j.Name+": "+err.Error())
	})
	t.Cleanup(f.Stop)
	return f
}

// Write takes the log.
func (f *fixture) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.output.Write(b)
}

// job is the first run of a wake of the i-th machine, by a script in the directory.
func (f *fixture) job(i int, script string) Job {
	return Job{
		Machine: ether.MAC{2, 0, 0, 0, 0, byte(i)}, Name: fmt.Sprintf("m%d", i), Attempt: 1,
		Command: []string{"/bin/sh", "-c", "cd " + f.dir + "\n" + script, "script", "an argument", "$HOME"},
	}
}

// until waits until ok is true.
func (f *fixture) until(what string, ok func() bool) {
	f.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.Fatalf("not %s after %v; told %q; the log:\n%s", what, patience, f.told, &f.output)
		}
	}
}

// file waits until a program has written a file, whole lines of it, and returns it.
func (f *fixture) file(name string) (text string) {
	f.Helper()
	f.until(name+" written", func() bool {
		b, _ := os.ReadFile(filepath.Join(f.dir, name))
		text = string(b)
		return strings.HasSuffix(text, "\n")
	})
	return text
}

// logged returns how many lines of the log have an event and a level.
func (f *fixture) logged(event, level string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range strings.Lines(f.output.String()) {
		if strings.Contains(line, " event="+event+" ") && strings.Contains(line, "level="+level+" ") {
			n++
		}
	}
	return n
}

// What a program gets: arguments as they are, a small environment, nothing of ours.
func TestProgram(t *testing.T) {
	t.Setenv("NIGHTPORTER_HTTP__TOKEN", "hunter2")
	f := newFixture(t)
	j := f.job(1, `
{ env | sort; echo "$0|$1|$2"; pwd -P; grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs)' /proc/self/status; } >all.tmp
ps -o pid= -o pgid= -p $$ >group; mv all.tmp all`)
	j.Env = []string{"NIGHTPORTER_MACHINE=a machine; rm -rf"}
	f.Start(j)
	all := f.file("all")
	for _, want := range []string{
		"PATH=" + searchPath + "\n", "NIGHTPORTER_MACHINE=a machine; rm -rf\n", "script|an argument|$HOME\n",
		"CapInh:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in what the program saw:\n%s", want, all)
		}
	}
	if strings.Contains(all, "hunter2") {
		t.Errorf("the program has the porter's environment:\n%s", all)
	}
	if ids := strings.Fields(f.file("group")); len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("process and group %q: it leads no group of its own", ids)
	}
	f.until("done", func() bool { return f.logged("command_done", "DEBUG") == 1 })
	if len(f.told) > 0 {
		t.Errorf("told %q", f.told)
	}
}

// A failed program is reported once in a wake, and not again while it keeps failing.
func TestFailure(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	j := f.job(1, "printf '\\n\\033[31mno \\377such\\tplug"+strings.Repeat("!", 4000)+"' >&2; exit 3") // long, and not fit for a log
	runs := 0
	again := func(attempt int, repeated bool) {
		j.Attempt, j.Repeated = attempt, repeated
		runs++
		f.Start(j)
		f.until("failed", func() bool { return f.logged("command_failed", "WARN")+f.logged("command_failed", "DEBUG") == runs })
		f.until("ended", func() bool { f.Runner.mu.Lock(); defer f.Runner.mu.Unlock(); return len(f.running) == 0 })
	}
	again(1, false)
	again(2, false)
	again(1, false) // another wake
	again(1, true)  // the machine does not wake, and that was reported
	want := "m1: exit status 3: [31mno \uFFFDsuch plug" + strings.Repeat("!", maxReason-len("[31mno ?such plug")) + "..."
	if len(f.told) != 2 || f.told[0] != want || f.told[1] != want || f.logged("command_failed", "WARN") != 2 {
		t.Errorf("told %q, want twice %q", f.told, want)
	}
}

// What cannot be started is a failure like others.
func TestNoProgram(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	j := f.job(1, "")
	j.Command = []string{filepath.Join(f.dir, "nothing")}
	f.Start(j)
	f.until("told", func() bool { return f.logged("command_failed", "WARN") == 1 })
	f.Stop()
	if want := "m1: fork/exec " + j.Command[0] + ": no such file or directory"; len(f.told) != 1 || f.told[0] != want {
		t.Errorf("told %q, want %q", f.told, want)
	}
}

// gone waits until no process of a group is left that can still run.
func (f *fixture) gone(file string) {
	f.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(f.file(file)))
	if err != nil {
		f.Fatal(err)
	}
	f.until("gone", func() bool { return syscall.Kill(-pid, 0) != nil })
}

// hang writes its process id, and then neither it nor what it started ends.
const hang = "echo $$ >pid; sleep 1000 & sleep 1000; true"

// A program that hangs is killed with what it has started.
func TestHangs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.limit = 300 * time.Millisecond
	f.Start(f.job(1, "echo 'asks for a password' >&2; "+hang))
	f.gone("pid")
	f.until("told", func() bool { return f.logged("command_failed", "WARN") == 1 })
	f.Stop()
	if want := "m1: killed after 300ms: asks for a password"; len(f.told) != 1 || f.told[0] != want {
		t.Errorf("told %q, want %q", f.told, want)
	}
}

// What a program leaves behind does not outlive it, and is no failure.
func TestLeavesSomething(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Start(f.job(1, "sleep 1000 & echo $$ >pid"))
	f.until("done", func() bool { return f.logged("command_done", "DEBUG") == 1 })
	f.gone("pid")
}

// All programs end with the Runner, and none begins after it.
func TestStop(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Start(f.job(1, hang))
	f.file("pid")
	f.Stop()
	f.gone("pid")
	f.Start(f.job(2, "echo >late"))
	f.Stop()
	if _, err := os.Stat(filepath.Join(f.dir, "late")); err == nil || len(f.told) > 0 {
		t.Errorf("it runs after the end: %v, told %q", err, f.told)
	}
}

// A machine has one run at a time.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	slow := f.job(1, "echo run >>runs; until test -e go; do sleep 0.01; done")
	f.Start(slow)
	f.file("runs")
	slow.Attempt = 2
	f.Start(slow)
	if f.logged("command_runs", "DEBUG") != 1 {
		t.Error("it runs twice")
	}
	f.Start(f.job(2, "echo >go")) // another machine's does not wait for it
	f.until("done", func() bool { return f.logged("command_done", "DEBUG") == 2 })
	if got := f.file("runs"); got != "run\n" {
		t.Errorf("runs: %q", got)
	}
	f.Start(slow)
	f.until("run again", func() bool { return f.file("runs") == "run\nrun\n" })
}

// A crowd takes turns, and a job that waits too long fails.
func TestAtMostAFewAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.limit = 2 * time.Second
	for i := range maxRunning + 1 {
		f.Start(f.job(i, fmt.Sprintf("echo >began%d; until test -e go; do sleep 0.01; done", i)))
	}
	began := func() []string {
		all, err := filepath.Glob(filepath.Join(f.dir, "began*"))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	f.until("full", func() bool { return len(began()) == maxRunning })
	f.until("told", func() bool { return f.logged("command_failed", "WARN") == maxRunning+1 })
	f.Stop()
	if n := len(began()); n > maxRunning+1 {
		t.Errorf("%d have run", n)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	late := 0
	for _, s := range f.told {
		if strings.Contains(s, "not run: 8 others have been running for 2s") || strings.Contains(s, "killed after 2s") {
			late++
		}
	}
	if late != maxRunning+1 {
		t.Errorf("told %q", f.told)
	}
}
