package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// debian returns the path of an archive with a small Debian with systemd. It is built from
// Debian's packages unless the user's cache has it.
var debian = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	const suite, packages = "bookworm", "systemd,dbus,iproute2,curl,rpm,sudo,make"
	path := filepath.Join(cache, "nightporter", suite+"-"+strings.ReplaceAll(packages, ",", "-")+".tar")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	part := fmt.Sprintf("%s.%d.part.tar", path, os.Getpid())
	defer os.Remove(part)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	bootstrap := exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--variant=apt", "--include="+packages, suite, part)
	bootstrap.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // its mounts end with it
	out, err := bootstrap.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mmdebstrap: %w: %s", err, out)
	}
	return path, os.Rename(part, path)
})

// host is a Debian system with a systemd as process 1, and with an isolated network.
type host struct {
	t    *testing.T
	dir  string // its root directory
	init *exec.Cmd
}

// newHost extracts a Debian. It has not booted.
func newHost(t *testing.T) *host {
	t.Helper()
	if os.Getuid() != 0 {
		unavailable(t, "a Debian of its own takes root")
	}
	program(t, "mmdebstrap")
	archive, err := debian()
	if err != nil {
		unavailable(t, err.Error())
	}
	dir := t.TempDir()
	output(t, "tar", "--extract", "--numeric-owner", "--file", archive, "--directory", dir)
	h := &host{t: t, dir: dir}
	h.write("/etc/hostname", "pi\n")
	h.write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 pi\n")
	return h
}

// boot starts systemd, with a network card unless offline is set.
func boot(t *testing.T, network bool) *host {
	t.Helper()
	h := newHost(t)
	group := newGroup(t)
	h.init = exec.Command("sh", "-ec", initScript, "sh", h.dir)
	h.init.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		UseCgroupFD: true,
		CgroupFD:    int(group.Fd()),
		Pdeathsig:   syscall.SIGKILL,
	}
	var said bytes.Buffer
	h.init.Stdout, h.init.Stderr = &said, &said
	if err := h.init.Start(); err != nil {
		unavailable(t, "no namespaces: "+err.Error())
	}
	t.Cleanup(func() {
		if t.Failed() {
			journal, _ := h.try("journalctl", "--no-pager", "--lines=40")
			t.Logf("%s\n%s", said.String(), journal)
		}
		h.init.Process.Kill()
		h.init.Wait()
	})
	h.within(time.Minute, "systemd to have started", "sh", "-c", "systemctl is-system-running --wait | grep -E 'running|degraded'")
	h.must("ip", "link", "set", "lo", "up")
	if network {
		h.must("sh", "-ec", networkScript)
	}
	return h
}

// initScript creates the mounts that systemd expects, and runs systemd. Its control group is
// the root of the control groups that systemd sees.
const initScript = `
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm old
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666,mode=620
ln -s pts/ptmx dev/ptmx
pivot_root . old
umount -l old
rmdir old
exec unshare --cgroup sh -ec '
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd'
`

const networkScript = `
ip link add eth0 type veth peer name cable
ip address add 192.168.9.2/24 dev eth0
ip link set cable up
ip link set eth0 up
ip route add default via 192.168.9.1
`

// newGroup creates a control group for a system, and removes it after the processes end.
func newGroup(t *testing.T) *os.File {
	t.Helper()
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	root := ""
	for scanner := bufio.NewScanner(mounts); scanner.Scan(); {
		if words := strings.Fields(scanner.Text()); len(words) > 2 && words[2] == "cgroup2" && root == "" {
			root = words[1]
		}
	}
	if root == "" {
		unavailable(t, "no control groups of version 2")
	}
	path, err := os.MkdirTemp(root, "nightporter-test-")
	if err != nil {
		unavailable(t, err.Error())
	}
	group, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		group.Close()
		for deadline := time.Now().Add(10 * time.Second); removeGroup(path) != nil; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("%s cannot be removed", path)
				return
			}
		}
	})
	return group
}

// removeGroup removes a control group and those below it, each with rmdir.
func removeGroup(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeGroup(filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	return syscall.Rmdir(path)
}

// command is a command on the host: by its systemd if it has booted, otherwise by chroot.
func (h *host) command(ctx context.Context, words []string) *exec.Cmd {
	enter := []string{"chroot", h.dir}
	if h.init != nil {
		enter = []string{"nsenter", "--target", fmt.Sprint(h.init.Process.Pid), "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--root", "--wd"}
	}
	cmd := exec.CommandContext(ctx, enter[0], append(enter[1:], words...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	return cmd
}

// try runs a command on the host and returns its output.
func (h *host) try(words ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := h.command(ctx, words).CombinedOutput()
	return strings.ReplaceAll(string(out), "\r\n", "\n"), err // apt-get runs dpkg on a terminal
}

// must is try for a command that has to succeed.
func (h *host) must(words ...string) string {
	h.t.Helper()
	out, err := h.try(words...)
	if err != nil {
		h.t.Fatalf("%q: %v\n%s", words, err, out)
	}
	return out
}

// within repeats a command until it succeeds or limit has passed.
func (h *host) within(limit time.Duration, what string, words ...string) {
	h.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		out, err := h.try(words...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("waited %v for %s: %q: %v\n%s", limit, what, words, err, out)
		}
	}
}

// copy copies a package to the host and returns its path there.
func (h *host) copy(path string) string {
	h.t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(filepath.Join(h.dir, "root", filepath.Base(path)), b, 0o644)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return "/root/" + filepath.Base(path)
}
