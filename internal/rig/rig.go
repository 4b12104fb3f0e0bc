// Package rig runs the real daemon, as a process of its own, on the porter's
// host of a lab: for the end-to-end tests and the demo. It watches the daemon
// as an operator would, through its log, its HTTP pages and its exit code.
package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"nightporter/internal/lab"
)

// The daemon's ports on the porter's host.
const (
	RegistrationPort = 13717
	HTTPPort         = 9717
)

// Options says how to start a daemon.
type Options struct {
	Exe    string    // the program; its first argument will be "serve"
	Env    []string  // beside this process's own
	Config string    // YAML, added to what the rig needs
	Host   *lab.Host // where it runs; nil: the porter's host
	Log    io.Writer
}

// Daemon is a running nightporter.
type Daemon struct {
	Log *Log // what it logged

	host   *lab.Host
	client *http.Client
	cmd    *exec.Cmd
	conf   string // path of its configuration
	lan    *lab.LAN
	opts   Options
	exited chan struct{}
	err    error // of the process; after exited
}

// Start starts a daemon and waits until it is ready. dir holds its configuration
// and state.
func Start(ctx context.Context, lan *lab.LAN, dir string, o Options) (*Daemon, error) {
	host := o.Host
	if host == nil {
		host = lan.Porter()
	}
	conf := filepath.Join(dir, "config.yaml")
	d := &Daemon{
		host: host, conf: conf, lan: lan, opts: o, Log: newLog(o.Log), exited: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return host.Dial(ctx, network, addr)
			}}},
	}
	if err := d.Reconfigure(o.Config); err != nil {
		return nil, err
	}
	d.cmd = host.Command(context.WithoutCancel(ctx), o.Exe, "serve", "--config", conf)
	d.cmd.Env = append(os.Environ(), o.Env...)
	d.cmd.Stderr = d.Log
	d.cmd.Stdout = d.Log
	if err := host.Start(d.cmd); err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.exited)
		d.Log.end()
	}()
	if err := d.waitReady(ctx); err != nil {
		d.Kill()
		return nil, fmt.Errorf("%w; it said:\n%s", err, d.Log.Text())
	}
	return d, nil
}

// Again starts another daemon in the place of this one, which has ended, with
// the state that it left.
func (d *Daemon) Again(ctx context.Context, config string) (*Daemon, error) {
	o := d.opts
	o.Config = config
	return Start(ctx, d.lan, d.Dir(), o)
}

// waitReady asks /-/ready until it says yes.
func (d *Daemon) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if status, _, err := d.Get(ctx, "/-/ready"); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-again.C:
		case <-d.exited:
			return fmt.Errorf("the daemon ended at once: %w", exitError(d.err))
		case <-ctx.Done():
			return fmt.Errorf("the daemon is not ready: %w", ctx.Err())
		}
	}
}

func exitError(err error) error {
	if err == nil {
		return errors.New("exit code 0")
	}
	return err
}

// URL returns the address of a page as seen from the LAN.
func (d *Daemon) URL(path string) string {
	return "http://" + netip.AddrPortFrom(d.host.Addr4(), HTTPPort).String() + path
}

// Get fetches a page.
func (d *Daemon) Get(ctx context.Context, path string) (status int, body string, err error) {
	return d.request(ctx, http.MethodGet, path)
}

// Post sends an empty POST request.
func (d *Daemon) Post(ctx context.Context, path string) (status int, body string, err error) {
	return d.request(ctx, http.MethodPost, path)
}

// Delete sends a DELETE request.
func (d *Daemon) Delete(ctx context.Context, path string) (status int, body string, err error) {
	return d.request(ctx, http.MethodDelete, path)
}

func (d *Daemon) request(ctx context.Context, method, path string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.URL(path), nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// Host returns where the daemon runs.
func (d *Daemon) Host() *lab.Host { return d.host }

// Dir returns where the daemon's configuration and state are.
func (d *Daemon) Dir() string { return filepath.Dir(d.conf) }

// Pid returns the process id of the daemon.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Signal sends the daemon a signal.
func (d *Daemon) Signal(s syscall.Signal) error { return d.cmd.Process.Signal(s) }

// Reconfigure replaces what Options.Config said. It takes effect with SIGHUP.
func (d *Daemon) Reconfigure(text string) error {
	text = fmt.Sprintf("state_dir: %s\nlog: {level: debug, format: json}\n%s", d.Dir(), text)
	return os.WriteFile(d.conf, []byte(text), 0o600)
}

// Stop ends the daemon in good order, and returns its exit code.
func (d *Daemon) Stop(ctx context.Context) (code int, err error) {
	if err := d.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	select {
	case <-d.exited:
		return d.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		d.Kill()
		return 0, fmt.Errorf("the daemon did not stop: %w", ctx.Err())
	}
}

// Kill ends the daemon at once, as kill -9 does.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill() // it may have ended by itself
	<-d.exited
}
