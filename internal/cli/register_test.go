package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/registration"
)

// serveRegistrations runs a registration server, and returns its address and the requests.
func serveRegistrations(t *testing.T, answer error) (string, <-chan registration.Request) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	requests := make(chan registration.Request, 1)
	cfg := registration.Config{Timeout: 10 * time.Second, MaxConnections: 8}
	srv := registration.New(cfg, registration.Options{
		Handler: porterStub{requests, answer}, Log: slog.New(slog.DiscardHandler), Observe: func(registration.Conclusion) {}})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), requests
}

// porterStub is a registration.Handler with one answer.
type porterStub struct {
	requests chan<- registration.Request
	answer   error
}

func (p porterStub) Register(_ context.Context, r registration.Request, _ registration.Peer) error {
	p.requests <- r
	return p.answer
}

func runRegister(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := newRegisterCommand()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestRegister(t *testing.T) {
	addr, requests := serveRegistrations(t, nil)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := runRegister(t, "--to", addr, "--mac", "d8:cb:8a:39:be:a1", "--name", "tower", "--monitor", "192.168.1.5=22,51820/udp",
		"--monitor", "fd00::5=", "--token-file", token, "--idle-watts", "40", "--sleep-watts", "0", "--wake-from", "10.0.0.0/8,fd00::/8")
	if err != nil {
		t.Fatal(err)
	}
	if want := "registered tower d8:cb:8a:39:be:a1 with " + addr + "\n"; !strings.HasSuffix(out, want) { // after a warning
		t.Errorf("printed %q, want %q", out, want)
	}
	r := <-requests
	if r.Name != "tower" || r.Token != "s3cret" || len(r.WakeFrom) != 2 || !r.HasSleepWatts || r.IdleWatts != 40 ||
		len(r.Monitor) != 2 || len(r.Monitor[0].Ports) != 3 || len(r.Monitor[1].Ports) != 0 || r.Here {
		t.Errorf("the porter received %+v", r)
	}
}

// An address without ports is registered with a warning.
func TestRegisterWithoutPorts(t *testing.T) {
	addr, requests := serveRegistrations(t, nil)
	out, err := runRegister(t, "--to", addr, "--mac", "d8:cb:8a:39:be:a1", "--monitor", "192.168.1.5")
	if err != nil || !strings.HasPrefix(out, "192.168.1.5 has no ports: it is claimed while the machine sleeps, but nothing there wakes it\n") {
		t.Errorf("%v, printed %q", err, out)
	}
	if r := <-requests; len(r.Monitor) != 1 {
		t.Errorf("the porter received %+v", r)
	}
}

// --check prints the registration without secrets, and the porter's answer.
func TestRegisterCheck(t *testing.T) {
	args := []string{"--mac", "d8:cb:8a:39:be:a1", "--name", "tower", "--monitor", "192.168.1.5=22", "--token", "s3cret", "--check", "--to"}
	addr, requests := serveRegistrations(t, &registration.Acceptable{Name: "tower-2", Renamed: "tower is taken", Wait: []string{"192.168.1.5: it is out"}})
	out, err := runRegister(t, append(args, addr)...)
	if err != nil || strings.Contains(out, "s3cret") || !strings.Contains(out, `"mac": "d8:cb:8a:39:be:a1"`) ||
		!strings.HasSuffix(out, "}\n"+addr+`: the porter would accept it as "tower-2", since tower is taken; would wait: 192.168.1.5: it is out`+"\n") {
		t.Errorf("%v, printed %s", err, out)
	}
	if r := <-requests; !r.Trial || r.Token != "s3cret" {
		t.Errorf("the porter received %+v", r)
	}
	for answer, want := range map[error]string{
		registration.Refuse(registration.Refused, "not you"): "the porter refused: not you",
		nil: "the porter is older than this command: it has registered the machine, and takes it for awake again later",
	} {
		addr, _ := serveRegistrations(t, answer)
		if out, err := runRegister(t, append(args, addr)...); err == nil || err.Error() != "ask "+addr+": "+want {
			t.Errorf("%v, printed %s; want %s", err, out, want)
		}
	}
}

// An error at the port of the page names the port of registrations.
func TestRegisterAtThePage(t *testing.T) {
	const addr, want = "192.168.1.2:9717", "9717 is the port of the page and the commands: machines register at another, 13717 by default"
	for _, err := range []error{
		context.DeadlineExceeded, &registration.Rejection{Answer: "HTTP/1.1 400 Bad Request"},
		&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
	} {
		if got := explainUnreachable(addr, err); !strings.HasSuffix(got.Error(), ": "+want) || !errors.Is(got, err) {
			t.Errorf("%v: %v", err, got)
		}
		if got := explainUnreachable("192.168.1.2:13717", err); strings.Contains(got.Error(), "9717") {
			t.Errorf("%v: %v at another port", err, got)
		}
	}
	for _, err := range []error{nil, &registration.Rejection{Answer: "not you"}} {
		if got := explainUnreachable(addr, err); got != err {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestRegisterWatch(t *testing.T) {
	addr, requests := serveRegistrations(t, nil)
	if _, err := runRegister(t, "--to", addr, "--mac", "d8:cb:8a:39:be:a1", "--known", "--watch"); err != nil {
		t.Fatal(err)
	}
	if r := <-requests; !r.Here {
		t.Errorf("the porter received %+v", r)
	}
}

func TestRegisterKnownMachine(t *testing.T) {
	addr, requests := serveRegistrations(t, nil)
	if _, err := runRegister(t, "--to", addr, "--mac", "d8:cb:8a:39:be:a1", "--known"); err != nil {
		t.Fatal(err)
	}
	if r := <-requests; r.HasMonitor || r.HasName || r.HasIdleWatts {
		t.Errorf("the porter received %+v", r)
	}
}

func TestRegisterErrors(t *testing.T) {
	addr, _ := serveRegistrations(t, registration.Refuse(registration.Refused, "not you"))
	machine := []string{"--to", addr, "--mac", "d8:cb:8a:39:be:a1", "--monitor", "192.168.1.5=22"}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"refused", machine, "register with " + addr + ": the porter refused: not you"},
		{"connection refused", append(machine, "--to", "127.0.0.1:1", "--retries", "0"), "register with 127.0.0.1:1: no porter answers there (connection refused): is it running there, and its port open in the firewall?"},
		{"no porter", []string{"--port", "22"}, "--to is missing: expected the porter's HOST or HOST:PORT"},
		{"no port", []string{"--to", addr}, "nothing would wake this machine: expected --port (such as --port 22/tcp), --monitor or --known"},
		{"bad port", append(machine, "--monitor", "192.168.1.6=70000"), `--monitor: found 70000: expected 1 to 65535, "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as "ssh"`},
		{"this host itself", []string{"--to", addr, "--port", "22"}, `--to: found "` + addr + `", which is this host itself: expected another host. Run this on the machine that sleeps, not on the porter`},
		{"no watts", append(machine, "--idle-watts", "-1"), `--idle-watts: found -1: expected a number of watts from 0 to 100000`},
		{"two ways", append(machine, "--port", "22"), "--monitor and --port: give one of them"},
		{"an argument", append(machine, "tower"), `found "tower", expected no argument: --to HOST names the porter`},
		{"two tokens", append(machine, "--token", "a", "--token-file", "b"), "--token and --token-file: give one of them"},
		{"no such porter", []string{"--to", "bad host", "--port", "22"}, `cannot find the porter: no address for "bad host": give its IP address, such as --to 192.168.1.2`},
		{"no such porter for a machine", append(machine, "--to", "bad host", "--retries", "0"),
			`register with bad host:13717: cannot find the porter: no address for "bad host": give its IP address, such as --to 192.168.1.2`},
		{"no such settings", append(machine, "--config", "/nonexistent"), "--config: open /nonexistent: no such file or directory"},
		{"no token file", append(machine, "--token-file", "/nonexistent"), "--token-file: open /nonexistent: no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := runRegister(t, tt.args...)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if strings.Contains(out, "registered") {
				t.Errorf("printed %q", out)
			}
		})
	}
}

func TestPorterAddress(t *testing.T) {
	for to, want := range map[string]string{
		"pi":           "pi:13717",
		"pi:1":         "pi:1",
		"192.168.1.2":  "192.168.1.2:13717",
		"fd00::2":      "[fd00::2]:13717",
		"[fd00::2]":    "[fd00::2]:13717",
		"[fd00::2]:99": "[fd00::2]:99",
		"fe80::2%eth0": "[fe80::2%eth0]:13717",
	} {
		if got, err := porterAddress(to); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", to, got, err, want)
		}
	}
	for _, to := range []string{"", ":13717", "pi:", "pi:99999", "pi:-1", "http://192.168.1.2", "http://pi:13717/", "pi/24"} {
		if got, err := porterAddress(to); err == nil {
			t.Errorf("%q: got %q, want an error", to, got)
		}
	}
}
