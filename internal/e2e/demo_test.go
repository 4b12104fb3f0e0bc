package e2e

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/shell"
)

// demoCommand returns nightporter-demo with the daemon under test: the script sets what
// makes the test binary be nightporter.
func demoCommand(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	daemon := filepath.Join(t.TempDir(), "nightporter")
	script := "#!/bin/sh\n" + asProgram + "=1 exec " + shell.Quote(os.Args[0]) + ` "$@"` + "\n"
	if err := os.WriteFile(daemon, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"--nightporter", daemon}, args...)...)
	cmd.Env = append(os.Environ(), asDemo+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// TestDemo: the timeline shows the whole life of a machine over both families, and the demo
// ends.
func TestDemo(t *testing.T) {
	t.Parallel()
	labtest.Need(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := demoCommand(ctx, t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rest := string(out)
	for _, family := range []string{"IPv4", "IPv6"} {
		for _, step := range []string{
			family, "porter  settle", "porter  claim", "porter  knock", "porter  magic packets, round 1",
			"porter  first frame", "porter  release",
		} {
			_, after, found := strings.Cut(rest, step)
			if !found {
				t.Fatalf("the timeline lacks %q (%s) at its place:\n%s", step, family, out)
			}
			rest = after
		}
	}
	for _, step := range []string{"client  handover: service ready -> client connected: ", "porter  replay: "} {
		if n := strings.Count(string(out), step); n != 2 {
			t.Errorf("%d times %q, want one for each family:\n%s", n, step, out)
		}
	}
	if !strings.Contains(rest, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"} 2`) {
		t.Errorf("the metrics do not show two wakes:\n%s", out)
	}
	if bytes.Contains(out, []byte("\x1b[")) {
		t.Error("colours in a pipe")
	}
}

// TestDemoKeep: the demo stays reachable on this host's loopback until Ctrl-C.
func TestDemoKeep(t *testing.T) {
	t.Parallel()
	labtest.Need(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := demoCommand(ctx, t, "--keep")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	page, knock := "", ""
	lines := bufio.NewScanner(stdout)
	for page == "" && lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) > 3 && words[0] == "connect": // the first machine, nas
			knock = strings.TrimPrefix(words[3], "telnet://")
		case len(words) == 2 && words[0] == "metrics":
			page = strings.TrimSuffix(words[1], "/metrics")
		}
	}
	if page == "" || knock == "" {
		t.Fatalf("no page to look at (%q), or no machine to connect to (%q)", page, knock)
	}
	resp, err := http.Get(page + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !bytes.Contains(body, []byte("nightporter_machine_state")) {
		t.Errorf("%s: %v\n%s", page, err, body)
	}
	if code, out, errs := runInProcess(t, "status", "--from", page); code != 0 || !contains(out, "4 of 4 machines asleep", "tower", "media", "backup") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", knock)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	banner := make([]byte, len(lab.Banner("nas")))
	if _, err := io.ReadFull(conn, banner); err != nil || string(banner) != lab.Banner("nas") {
		t.Errorf("connected to %q, %v", banner, err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, stdout)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}
