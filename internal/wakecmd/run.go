package wakecmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"nightporter/internal/ether"
	"nightporter/internal/privilege"
)

const (
	// searchPath is the PATH of a program, for scripts.
	searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

	// maxStderr bounds what is kept of a program's stderr, in bytes.
	maxStderr = 512

	// maxReason bounds what the error shows of it, in characters.
	maxReason = 160

	// streamDelay is how long a child of the program may keep its streams open.
	streamDelay = time.Second
)

// Job is one run of a machine's program.
type Job struct {
	Machine  ether.MAC // each machine has one run at a time
	Name     string
	Command  []string // the program's path, and its arguments
	Env      []string // "KEY=value"
	Attempt  int      // of the present wake
	Repeated bool     // the wakes before failed too, and that was reported
}

// run runs a program until it ends or limit is over. The error has the first line of its
// stderr.
func run(ctx context.Context, limit time.Duration, j Job) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var stderr head
	cmd := exec.CommandContext(ctx, j.Command[0], j.Command[1:]...)
	cmd.Env = append([]string{"PATH=" + searchPath}, j.Env...)
	cmd.Dir = "/"
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = streamDelay
	err := privilege.Without(cmd.Start)
	if err == nil {
		err = cmd.Wait()
		_ = killGroup(cmd.Process.Pid) // its remaining children; most often there are none
	}
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay): // it succeeded, and a child had its streams open
		return nil
	case ctx.Err() != nil:
		err = fmt.Errorf("killed after %v", limit)
	}
	if line := stderr.firstLine(); line != "" {
		return fmt.Errorf("%w: %s", err, line)
	}
	return err
}

// killGroup kills the process group of a process.
func killGroup(pid int) error {
	err := syscall.Kill(-pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// head keeps the beginning of what is written to it.
type head struct{ b bytes.Buffer }

// Write implements io.Writer. It returns no error, also if it keeps nothing.
func (h *head) Write(p []byte) (int, error) {
	h.b.Write(p[:min(len(p), maxStderr-h.b.Len())])
	return len(p), nil
}

// firstLine returns the first line that is not empty, in printable characters.
func (h *head) firstLine() string {
	for line := range strings.Lines(h.b.String()) {
		line = strings.TrimSpace(strings.Map(printable, strings.ToValidUTF8(line, "\uFFFD")))
		if line == "" {
			continue
		}
		if r := []rune(line); len(r) > maxReason {
			return string(r[:maxReason]) + "..."
		}
		return line
	}
	return ""
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return ' '
}
