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

	"nightporter/internal/privilege"
)

const (
	// searchPath is the PATH of a program, for scripts.
	searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

	// said bounds what is kept of a program's errors, in octets.
	maxStderr = 512

	// shown bounds what is told of it, in characters.
	maxReason = 160

	// leftovers is how long the streams of a program may outlive it.
	streamDelay = time.Second
)

// run runs a program, and says what was wrong with it.
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
		_ = killGroup(cmd.Process.Pid) // what it left behind; most often there is nothing
	}
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay): // it ended well, and what it left had its streams open
		return nil
	case ctx.Err() != nil:
		err = fmt.Errorf("killed, since it took longer than %v", limit)
	}
	if line := stderr.firstLine(); line != "" {
		return fmt.Errorf("%w: %s", err, line)
	}
	return err
}

// killGroup kills a process and what it has started, as far as that is in its
// process group.
func killGroup(pid int) error {
	err := syscall.Kill(-pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// head keeps the beginning of what is written to it.
type head struct{ b bytes.Buffer }

// Write implements io.Writer. It takes everything.
func (h *head) Write(p []byte) (int, error) {
	h.b.Write(p[:min(len(p), maxStderr-h.b.Len())])
	return len(p), nil
}

// firstLine returns the first line that says something, fit for a log.
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
