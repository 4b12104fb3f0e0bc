package vm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// statusInterval is the time between two guest-exec-status commands: the agent sends no
// event when a program ends.
const statusInterval = 50 * time.Millisecond

// execution is the argument of guest-exec. The agent expects base64, as encoding/json writes
// bytes.
type execution struct {
	Path    string   `json:"path"`
	Args    []string `json:"arg,omitempty"`
	Input   []byte   `json:"input-data,omitempty"`
	Capture bool     `json:"capture-output"`
}

type execStatus struct {
	Exited bool   `json:"exited"`
	Code   int    `json:"exitcode"`
	Signal int    `json:"signal"`
	Out    []byte `json:"out-data"`
	Err    []byte `json:"err-data"`
}

// Run runs a program in the machine as root, with input on its standard input, and
// returns what it wrote to its standard output.
func (m *Machine) Run(ctx context.Context, input string, program string, args ...string) (string, error) {
	status, err := m.execute(ctx, execution{Path: program, Args: args, Input: []byte(input), Capture: true})
	if err == nil && (status.Code != 0 || status.Signal != 0) {
		err = fmt.Errorf("exit code %d, signal %d: %s", status.Code, status.Signal, status.Err)
	}
	if err != nil {
		return "", fmt.Errorf("%s: run %s %s: %w", m.Name(), program, strings.Join(args, " "), err)
	}
	return string(status.Out), nil
}

func (m *Machine) execute(ctx context.Context, e execution) (execStatus, error) {
	agent, pid, err := m.launch(ctx, e)
	if err != nil {
		return execStatus{}, err
	}
	again := time.NewTicker(statusInterval)
	defer again.Stop()
	for {
		var status execStatus
		if err := agent.call(ctx, "guest-exec-status", map[string]int{"pid": pid}, &status); err != nil || status.Exited {
			return status, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return execStatus{}, fmt.Errorf("the program still runs: %w", context.Cause(ctx))
		}
	}
}

// Launch starts a program in the machine as root without waiting for its end, since a
// program such as systemctl poweroff also ends the machine.
func (m *Machine) Launch(ctx context.Context, program string, args ...string) error {
	if _, _, err := m.launch(ctx, execution{Path: program, Args: args}); err != nil {
		return fmt.Errorf("%s: launch %s: %w", m.Name(), program, err)
	}
	return nil
}

func (m *Machine) launch(ctx context.Context, e execution) (agent *peer, pid int, err error) {
	agent = m.agent()
	if agent == nil {
		return nil, 0, errors.New("the machine is off")
	}
	var started struct {
		PID int `json:"pid"`
	}
	err = agent.call(ctx, "guest-exec", e, &started)
	return agent, started.PID, err
}

// WriteFile writes a file in the machine and creates the folders above it.
func (m *Machine) WriteFile(ctx context.Context, path, mode, content string) error {
	_, err := m.Run(ctx, content, "install", "-D", "-m", mode, "/dev/stdin", path)
	return err
}
