package compose_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/labdaemon"
	"nightporter/internal/privilege"
	"nightporter/internal/promtest"
)

const (
	loaded    = "docker.io/library/nightporter:latest" // podman's name of the image
	container = "nightporter"
)

// The machine that sleeps. Its service begins to listen between two of the client's SYN
// retransmissions.
var (
	nas4 = netip.MustParseAddr("10.77.0.20")
	nas  = lab.MachineConfig{
		Name:     "nas",
		Addrs:    []netip.Prefix{netip.PrefixFrom(nas4, 24)},
		Boot:     1700 * time.Millisecond,
		Announce: true,
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22, Delay: 500 * time.Millisecond}},
	}
)

// podman runs podman with a storage of the test.
type podman struct {
	*testing.T
	dir  string
	args []string // arguments before each command
}

// newPodman returns a podman that needs no systemd. It uses runc, since Debian's crun does
// not run with cgroups of version 1.
func newPodman(t *testing.T) *podman {
	t.Helper()
	promtest.Need(t, "podman")
	promtest.Need(t, "runc")
	dir := t.TempDir()
	p := &podman{T: t, dir: dir, args: []string{
		"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", "runc", "--events-backend", "none",
	}}
	t.Cleanup(func() {
		cmd := p.command(context.WithoutCancel(t.Context()), "rm", "--all", "--force", "--volumes", "--time", "0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", cmd, err, out)
		}
		p.waitForEnd()
	})
	return p
}

// waitForEnd waits until no process uses the storage, since a container's monitor cleans up
// after its command has ended.
func (p *podman) waitForEnd() {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for late := time.After(20 * time.Second); ; {
		running := p.processes()
		if len(running) == 0 {
			return
		}
		select {
		case <-again.C:
		case <-late:
			p.Errorf("still running: %q", running)
			return
		}
	}
}

// processes returns the command lines that name the storage.
func (p *podman) processes() (found []string) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		p.Fatal(err)
	}
	for _, file := range files {
		// The process may have ended.
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(p.dir)) {
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		}
	}
	return found
}

// command returns a podman command.
func (p *podman) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "podman", append(p.args[:len(p.args):len(p.args)], args...)...)
}

// run returns the arguments that start a container like compose.yaml. It ends after two
// minutes, also if this test is killed.
func (p *podman) run(options ...string) []string {
	porter := read(p.T).Services["nightporter"]
	args := []string{"run", "--rm", "--timeout", "120", "--log-driver", "none", "--pull", "never",
		"--network", porter.NetworkMode, "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096",
		"--cap-drop", strings.Join(porter.CapDrop, ","), "--cap-add", strings.Join(porter.CapAdd, ",")}
	if porter.ReadOnly {
		args = append(args, "--read-only")
	}
	return append(args, options...)
}

// runInPodman loads the image and runs it on the porter's host of a lab: a machine registers
// and sleeps, and a client's first connection to it is served.
func runInPodman(t *testing.T, made image) {
	labtest.Need(t)
	p := newPodman(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	p.needContainers(ctx, made.program)
	if out, err := p.command(ctx, "load", "--quiet", "--input", made.archive).CombinedOutput(); err != nil || !strings.Contains(string(out), loaded) {
		t.Fatalf("podman load: %v\n%s", err, out)
	}
	lan := labtest.New(t)
	d := p.serve(ctx, lan)
	p.checkProcess(ctx)
	sleeper, err := lan.AddMachine(nas)
	if err != nil {
		t.Fatal(err)
	}
	p.sleepAndWake(ctx, lan, d, sleeper)
	p.healthy(ctx, lan.Porter())
	if code, err := d.Stop(ctx); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	// The volume has the state, and the image's user can write to it.
	d, err = d.Again(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Kill()
	if _, body, err := d.Get(ctx, "/api/v1/machines"); err != nil || !strings.Contains(body, `"name":"nas"`) {
		t.Errorf("after a restart: %s, %v", body, err)
	}
	if code, err := d.Stop(ctx); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}

// needContainers skips the test if Podman cannot run the program from a folder, without an
// image.
func (p *podman) needContainers(ctx context.Context, program string) {
	p.Helper()
	root := filepath.Join(p.dir, "rootfs")
	if err := os.CopyFS(root, os.DirFS(filepath.Dir(program))); err != nil {
		p.Fatal(err)
	}
	args := append(p.run("--rootfs"), root, "/"+filepath.Base(program), "version")
	if out, err := p.command(ctx, args...).CombinedOutput(); err != nil {
		p.Skipf("not tested: podman cannot run a container here: %v\n%s", err, out)
	}
}

// serve starts the daemon in its container, by a script that labdaemon starts as the daemon.
func (p *podman) serve(ctx context.Context, lan *lab.LAN) *labdaemon.Daemon {
	p.Helper()
	dir, state := filepath.Join(p.dir, "etc"), config.Default().StateDir
	for _, err := range []error{
		os.Mkdir(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "config.yaml"), nil, 0o600),
		os.Chown(filepath.Join(dir, "config.yaml"), privilege.Unused, privilege.Unused),
	} {
		if err != nil {
			p.Fatal(err)
		}
	}
	start := p.run("--name", container, "--volume", dir+":"+dir+":ro", "--volume", "state:"+state,
		"--env", "NIGHTPORTER_STATE_DIR="+state, "--env", "TZ=Asia/Kathmandu")
	script := fmt.Sprintf("#!/bin/sh\nexec %s nightporter \"$@\"\n", p.command(ctx, start...))
	program := filepath.Join(p.dir, "serve")
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		p.Fatal(err)
	}
	d, err := labdaemon.Start(ctx, lan, dir, labdaemon.Options{Exe: program, User: `""`, Config: "probe: {interval: 200ms}\n"})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		if p.Failed() {
			p.Log(d.Log.Text())
		}
	})
	// The log passes through podman, and may arrive after the page answers.
	ready, err := d.Log.Wait(ctx, 0, labdaemon.Is("ready"))
	if err != nil {
		p.Fatal(err)
	}
	// The image has no zone files: the program embeds them.
	if at := ready.Field("time"); !strings.HasSuffix(at, "+05:45") {
		p.Errorf("the log has the time %s, expected the zone +05:45", at)
	}
	return d
}

// checkProcess: the daemon runs as the image's user with two capabilities.
func (p *podman) checkProcess(ctx context.Context) {
	p.Helper()
	pid, err := p.command(ctx, "inspect", "--format", "{{.State.Pid}}", container).Output()
	if err != nil {
		p.Fatal(err)
	}
	status := slurp(p.T, filepath.Join("/proc", strings.TrimSpace(string(pid)), "status"))
	for _, line := range []string{
		fmt.Sprintf("Uid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", privilege.Unused),
		fmt.Sprintf("CapPrm:\t%016x\n", uint64(privilege.Working)),
		fmt.Sprintf("CapBnd:\t%016x\n", uint64(privilege.Working)),
		"NoNewPrivs:\t1\n",
	} {
		if !strings.Contains(status, line) {
			p.Errorf("the process lacks %q:\n%s", line, status)
		}
	}
}

// sleepAndWake puts the machine to sleep and has a client wake it.
func (p *podman) sleepAndWake(ctx context.Context, lan *lab.LAN, d *labdaemon.Daemon, sleeper *lab.Machine) {
	p.Helper()
	seen := d.Log.Len()
	answer, err := d.Register(ctx, sleeper.Host, fmt.Sprintf(`{"mac":%q,"name":"nas","monitor":[{"ip":%q,"port":["22/tcp"]}]}`, sleeper.MAC(), nas4))
	if err != nil || answer != "OK." {
		p.Fatalf("the registration: %q, %v", answer, err)
	}
	if err := sleeper.SleepAfter(100 * time.Millisecond); err != nil {
		p.Fatal(err)
	}
	if _, err := d.Log.Wait(ctx, seen, labdaemon.Moved("nas", "settling", "asleep", "")); err != nil {
		p.Fatal(err)
	}
	conn, err := lan.Client().Dial(ctx, "tcp", netip.AddrPortFrom(nas4, 22).String())
	if err != nil {
		p.Fatal("the client was not served:", err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		p.Fatal(err)
	}
	hello := make([]byte, len(lab.Banner("nas")))
	if _, err := io.ReadFull(conn, hello); err != nil || !bytes.Equal(hello, []byte(lab.Banner("nas"))) {
		p.Errorf("the client read %q, %v", hello, err)
	}
	if _, err := d.Log.Wait(ctx, seen, labdaemon.Is("replayed")); err != nil {
		p.Error(err)
	}
}

// healthy runs the health check of compose.yaml in the container.
func (p *podman) healthy(ctx context.Context, host *lab.Host) {
	p.Helper()
	test := read(p.T).Services["nightporter"].Healthcheck.Test
	cmd := p.command(ctx, append([]string{"exec", container}, test[1:]...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := host.Start(cmd); err != nil {
		p.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "nas") {
		p.Errorf("%s: %v\n%s", cmd, err, &out)
	}
}
