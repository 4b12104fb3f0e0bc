package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// asServer in the environment makes the test binary a server on a machine of the lab. Its value
// is the kind of server, and the first argument its address.
const asServer = "TEST_AS_SERVER"

// unreadyFor is how long the servers are unready after they listen.
const unreadyFor = 5 * time.Second

// servers are the functions of the kinds.
var servers = map[string]func(addr string) error{
	"udp-until-empty": serveUntilEmpty,
	"http-503":        serveUnavailable,
	"ssh-booting":     serveBooting,
}

func serveAs(kind, addr string) error {
	f := servers[kind]
	if f == nil {
		return fmt.Errorf("no server %q", kind)
	}
	return f(addr)
}

// serverCommand returns the command of one of the servers.
func serverCommand(kind, addr string) *lab.Command {
	return &lab.Command{Args: []string{os.Args[0], addr}, Env: []string{asServer + "=" + kind}}
}

// serveUntilEmpty echoes datagrams, and ends with an empty one, as programs do that read until
// they read nothing.
func serveUntilEmpty(addr string) error {
	pc, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", addr)
	if err != nil {
		return err
	}
	defer pc.Close()
	buf := make([]byte, 1<<16)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil || n == 0 {
			return err
		}
		if _, err := pc.WriteTo(buf[:n], from); err != nil {
			return err
		}
	}
}

// serveUnavailable answers 503 for unreadyFor, and then with the time since which it is ready.
func serveUnavailable(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	ready := time.Now().Add(unreadyFor)
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if time.Now().Before(ready) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "welcome %d", ready.UnixNano())
	}))
}

// serveBooting refuses its clients with a text for unreadyFor, as sshd does with pam_nologin.
// Then it sends its banner with the time since which it is ready.
func serveBooting(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	ready := time.Now().Add(unreadyFor)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		text := fmt.Sprintf("SSH-2.0-test %d\r\n", ready.UnixNano())
		if time.Now().Before(ready) {
			text = "System is booting up.\r\n"
		}
		_, err = io.WriteString(conn, text)
		if err = errors.Join(err, conn.Close()); err != nil {
			return err
		}
	}
}

// saidReady returns the time that a server sent after text.
func saidReady(said, text string) (time.Time, error) {
	var nanos int64
	if _, err := fmt.Sscanf(said, text+" %d", &nanos); err != nil {
		return time.Time{}, fmt.Errorf("the server said %q: %w", said, err)
	}
	return time.Unix(0, nanos), nil
}

// installed returns the path of a program, or skips the test. CI has all programs.
func installed(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		cannotRun(t, err)
	}
	return path
}

// cannotRun skips a test that this host cannot run. In CI the test fails.
func cannotRun(t testing.TB, why ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why...)
	}
	t.Skip(why...)
}
