package e2e

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter/internal/cli"
	"nightporter/internal/lab"
)

// runCommand runs a command against the daemon from the client's host. It returns the exit code
// and the output.
func (h *harness) runCommand(args ...string) (code int, printed string) {
	h.Helper()
	cmd := h.lan.Client().Command(h.ctx, os.Args[0], append(args, "--from", h.daemon.URL(""))...)
	cmd.Env = append(os.Environ(), programEnv...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	h.must(h.lan.Client().Start(cmd))
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		h.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// runOn runs nightporter on a host and returns what it printed.
func (h *harness) runOn(host *lab.Host, args ...string) (string, error) {
	h.Helper()
	var out bytes.Buffer
	cmd := host.Command(h.within(20*time.Second), os.Args[0], args...)
	cmd.Env = append(os.Environ(), programEnv...)
	cmd.Stdout, cmd.Stderr = &out, &out
	h.must(host.Start(cmd))
	err := cmd.Wait()
	return out.String(), err
}

// runInProcess runs a command of the program in this process, and returns its exit code and
// what it printed.
func runInProcess(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// output collects what a command prints, and signals each write.
type output struct {
	mu   sync.Mutex
	text strings.Builder
	news chan struct{} // capacity 1
}

func (s *output) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b)
	select {
	case s.news <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (s *output) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// running is a command of nightporter in the background.
type running struct {
	*output
	signal func(os.Signal) error
	ended  chan int // its exit code
}

// startCommand runs a command from the client's host.
func startCommand(h *harness, args ...string) *running {
	h.Helper()
	cmd := h.lan.Client().Command(h.ctx, os.Args[0], append(args, "--from", h.daemon.URL(""))...)
	cmd.Env = append(os.Environ(), programEnv...)
	r := &running{output: &output{news: make(chan struct{}, 1)}, ended: make(chan int, 1)}
	cmd.Stdout, cmd.Stderr = r.output, r.output
	h.must(h.lan.Client().Start(cmd))
	r.signal = cmd.Process.Signal
	go func() {
		_ = cmd.Wait() // the exit code is checked
		r.ended <- cmd.ProcessState.ExitCode()
	}()
	return r
}

// waitPrinted waits until the command has printed a text.
func waitPrinted(h *harness, s *running, text string) {
	h.Helper()
	for limit := h.within(20 * time.Second); !strings.Contains(s.String(), text); {
		select {
		case <-s.news:
		case <-limit.Done():
			h.Fatalf("it did not print %q, only\n%s", text, s)
		}
	}
}

// wantExit waits for the exit code of a command.
func wantExit(h *harness, r *running, want int) {
	h.Helper()
	select {
	case code := <-r.ended:
		if code != want {
			h.Errorf("exit code %d, want %d, after\n%s", code, want, r)
		}
	case <-h.within(30 * time.Second).Done():
		h.Fatalf("it goes on, after\n%s", r)
	}
}
