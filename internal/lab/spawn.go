package lab

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"

	"nightporter/internal/netns"
)

// Command returns a command to be run in the host with Start. It is killed
// when ctx ends.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, name, args...)
}

// Start starts cmd inside the host's network namespace. The process is killed
// when the LAN is closed or this process ends, however that happens. The
// caller waits for it with cmd.Wait.
func (h *Host) Start(cmd *exec.Cmd) error {
	s, err := h.startSpawner()
	if err != nil {
		return err
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := s.run(h.lan.ctx, cmd.Start); err != nil {
		return fmt.Errorf("host %s: start %s: %w", h.name, cmd.Path, err)
	}
	return nil
}

// A spawner is the thread that is the parent of a host's processes. It lives
// as long as the LAN, because the kernel sends the parent-death signal when
// the *thread* that started a process ends (prctl(2)).
type spawner struct {
	jobs chan func()
}

func (h *Host) startSpawner() (*spawner, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.spawner != nil {
		return h.spawner, nil
	}
	s := &spawner{jobs: make(chan func())}
	entered := make(chan error, 1)
	ended := make(chan struct{})
	ok := h.lan.start(func() {
		netns.StartThread(func() {
			defer close(ended)
			err := h.ns.Enter()
			entered <- err
			if err == nil {
				s.serve(h.lan.ctx)
			}
		})
		<-ended
	})
	if !ok {
		return nil, fmt.Errorf("host %s: %w", h.name, errClosed)
	}
	if err := <-entered; err != nil {
		return nil, fmt.Errorf("host %s: %w", h.name, err)
	}
	h.spawner = s
	return s, nil
}

func (s *spawner) serve(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-s.jobs:
			job()
		}
	}
}

// run has the spawner's thread call fn.
func (s *spawner) run(ctx context.Context, fn func() error) error {
	result := make(chan error, 1)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case s.jobs <- func() { result <- fn() }:
		return <-result
	}
}
