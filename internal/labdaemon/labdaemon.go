// Package labdaemon runs the real daemon, as a process of its own, on the porter's
// host of a lab: for the end-to-end tests and the demo. It watches the daemon
// as an operator would, through its log, its HTTP pages and its exit code.
package labdaemon

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	User   string    // whom the daemon becomes; empty: root, who alone can read what tests make
	Host   *lab.Host // where it runs; nil: the porter's host
	Log    io.Writer
	Await  string // the page that says that it has started; empty: /-/ready

	// How its pages are asked for. Certificates are not verified.
	Scheme string        // empty: http
	Login  *url.Userinfo // nil: none
}

// Daemon is a running nightporter.
type Daemon struct {
	Log *Log // what it logged

	host   *lab.Host
	client *http.Client // from the host's own address
	inside *http.Client // by its loopback, which needs no network
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
	d := &Daemon{host: host, conf: conf, lan: lan, opts: o, Log: newLog(o.Log), exited: make(chan struct{})}
	d.client = dialing(host.Dial)
	d.inside = dialing(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return host.Dial(ctx, network, fmt.Sprintf("127.0.0.1:%d", HTTPPort))
	})
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
	if err := d.waitFor(ctx, cmp.Or(o.Await, "/-/ready")); err != nil {
		d.Kill()
		return nil, fmt.Errorf("%w; it said:\n%s", err, d.Log.Text())
	}
	return d, nil
}

// dialing returns a client that connects anew for each request.
func dialing(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
}

// Again starts another daemon in the place of this one, which has ended, with
// the state that it left.
func (d *Daemon) Again(ctx context.Context, config string) (*Daemon, error) {
	return d.AgainUntil(ctx, config, d.opts.Await)
}

// AgainUntil is Again with a page of its own that says that it has started, such as
// /-/healthy for a daemon that has no network.
func (d *Daemon) AgainUntil(ctx context.Context, config, await string) (*Daemon, error) {
	o := d.opts
	o.Config, o.Await = config, await
	return Start(ctx, d.lan, d.Dir(), o)
}

// waitFor asks a page until it says yes.
func (d *Daemon) waitFor(ctx context.Context, page string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // an emulated processor may take 10 s
	defer cancel()
	again := time.NewTicker(30 * time.Millisecond) // each request takes a thread of its own
	defer again.Stop()
	for {
		if status, _, err := d.GetInside(ctx, page); err == nil && status == http.StatusOK {
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
	at := netip.AddrPortFrom(d.host.Addr4(), HTTPPort)
	base := url.URL{Scheme: cmp.Or(d.opts.Scheme, "http"), User: d.opts.Login, Host: at.String()}
	return base.String() + path
}

// Get fetches a page.
func (d *Daemon) Get(ctx context.Context, path string) (status int, body string, err error) {
	return request(ctx, d.client, http.MethodGet, d.URL(path), "")
}

// GetInside fetches a page by way of the host's loopback: also where the host has
// no address or no cable.
func (d *Daemon) GetInside(ctx context.Context, path string) (status int, body string, err error) {
	return request(ctx, d.inside, http.MethodGet, d.URL(path), "")
}

// Post sends an empty POST request.
func (d *Daemon) Post(ctx context.Context, path string) (status int, body string, err error) {
	return d.PostBody(ctx, path, "")
}

// PostBody sends a POST request that carries a body.
func (d *Daemon) PostBody(ctx context.Context, path, body string) (status int, answer string, err error) {
	return request(ctx, d.client, http.MethodPost, d.URL(path), body)
}

// Delete sends a DELETE request.
func (d *Daemon) Delete(ctx context.Context, path string) (status int, body string, err error) {
	return request(ctx, d.client, http.MethodDelete, d.URL(path), "")
}

func request(ctx context.Context, client *http.Client, method, url, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
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
	text = fmt.Sprintf("state_dir: %s\nuser: %s\nlog: {level: debug, format: json}\n%s", d.Dir(), cmp.Or(d.opts.User, "root"), text)
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
