package privilege

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// asChild in the environment makes the test binary a process that gives up its
// privileges, as task says. The tests themselves keep theirs.
const asChild = "TEST_AS_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(asChild); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// task is what a child has to do.
type task struct {
	User   string // whom to become
	Poor   bool   // it has the capabilities of a container, and no others
	Secret string // a file to be opened in the end
}

// outcome is what a child saw, for each of its threads.
type outcome struct {
	Entered []identity // after Become with Opening
	Kept    []identity // after Keep with Working
	Setuid  string     // what the kernel said to becoming root again
	Raise   string     // and to taking a capability back
	Open    string     // and to opening the secret
}

// identity is what the kernel says of one thread.
type identity struct{ Uid, Gid, Groups, CapInh, CapPrm, CapEff, CapBnd, CapAmb, NoNewPrivs string }

// child does its task with many threads, some older than it and some younger.
func child(text string) error {
	var do task
	if err := json.Unmarshal([]byte(text), &do); err != nil {
		return err
	}
	if do.Poor {
		if _, err := Keep(Working); err != nil {
			return err
		}
	}
	u, err := Find(do.User)
	if err != nil {
		return err
	}
	release := make(chan struct{})
	defer close(release)
	threads(10, release)
	if err := Become(u, Opening); err != nil {
		return err
	}
	threads(10, release)
	var out outcome
	if out.Entered, err = identities(os.Getpid()); err != nil {
		return err
	}
	if _, err := Keep(Working); err != nil {
		return err
	}
	threads(10, release)
	if out.Kept, err = identities(os.Getpid()); err != nil {
		return err
	}
	out.Setuid = fmt.Sprint(syscall.Setresuid(0, 0, 0))
	out.Raise = fmt.Sprint(prctl(syscall.PR_CAPBSET_DROP, 0))
	_, err = os.Open(do.Secret)
	out.Open = fmt.Sprint(err)
	return json.NewEncoder(os.Stdout).Encode(out)
}

// threads starts n threads that stay until release is closed.
func threads(n int, release <-chan struct{}) {
	for range n {
		ready := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(ready)
			<-release
		}()
		<-ready
	}
}

// identities returns one for each thread of a process.
func identities(pid int) ([]identity, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return nil, err
	}
	var all []identity
	for _, file := range files {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return nil, err
		}
		all = append(all, parseStatus(string(b)))
	}
	return all, nil
}

func parseStatus(text string) identity {
	var id identity
	fields := map[string]*string{
		"Uid": &id.Uid, "Gid": &id.Gid, "Groups": &id.Groups, "CapInh": &id.CapInh, "CapPrm": &id.CapPrm,
		"CapEff": &id.CapEff, "CapBnd": &id.CapBnd, "CapAmb": &id.CapAmb, "NoNewPrivs": &id.NoNewPrivs,
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		if at := fields[name]; at != nil {
			*at = strings.Join(strings.Fields(value), " ")
		}
	}
	return id
}

// perform runs a child, and returns what it saw or what it said.
func perform(t *testing.T, do task, start *syscall.SysProcAttr) (out outcome, said string) {
	t.Helper()
	text, err := json.Marshal(do)
	if err != nil {
		t.Fatal(err)
	}
	// Not the path of the program, which another user may be unable to reach.
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	// Its race detector must not add the second it otherwise waits at the exit.
	cmd.Env = append(os.Environ(), asChild+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Dir = "/"
	cmd.SysProcAttr = start
	var stderr strings.Builder
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil {
		return outcome{}, fmt.Sprintf("%v: %s", err, stderr.String())
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out, ""
}
