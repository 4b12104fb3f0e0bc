package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// confinedTo in the environment limits the program to the system calls with the listed numbers,
// as under the systemd unit.
const confinedTo = "TEST_CONFINED_TO"

// confine executes this program again under a filter of system calls.
func confine(numbers string) error {
	runtime.LockOSThread()                                          // the filter belongs to the thread until it executes the program
	program := []bpf.Instruction{bpf.LoadAbsolute{Off: 0, Size: 4}} // struct seccomp_data: nr
	for _, n := range strings.Split(numbers, ",") {
		number, err := strconv.ParseUint(n, 10, 32)
		if err != nil {
			return err
		}
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(number), SkipFalse: 1},
			bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
	}
	program = append(program, bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	if err := os.Unsetenv(confinedTo); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	whole := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&whole)), 0, 0); err != nil {
		return fmt.Errorf("install the filter: %w", err)
	}
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

// allowedByUnit returns the numbers of the system calls that the unit allows, with systemd's
// rules for SystemCallFilter.
func allowedByUnit(t testing.TB) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("not tested: the numbers of system calls are those of amd64")
	}
	analyze := installed(t, "systemd-analyze")
	unit, err := os.ReadFile("../../deploy/systemd/nightporter.service")
	if err != nil {
		t.Fatal(err)
	}
	sets, err := exec.Command(analyze, "syscall-filter", "--no-pager").Output()
	if err != nil {
		t.Fatal(err)
	}
	members, set := make(map[string][]string), ""
	for line := range strings.Lines(string(sets)) {
		switch word := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "@"):
			set = word
		case word != "" && word[0] != '#':
			members[set] = append(members[set], word)
		}
	}
	allowed := make(map[string]bool)
	var change func(name string, to bool)
	change = func(name string, to bool) {
		allowed[name] = to
		for _, m := range members[name] {
			change(m, to)
		}
	}
	change("@default", true) // systemd always allows these
	for _, found := range regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(.*)$`).FindAllStringSubmatch(string(unit), -1) {
		for _, name := range strings.Fields(found[2]) {
			change(name, found[1] == "")
		}
	}
	return numbered(t, allowed)
}

// numbered returns the numbers of the allowed system calls on this architecture.
func numbered(t testing.TB, allowed map[string]bool) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		cannotRun(t, "not tested: no Go to ask for the numbers of system calls:", err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_amd64.go"))
	if err != nil {
		t.Fatal(err)
	}
	var numbers []string
	for _, found := range regexp.MustCompile(`SYS_(\w+)\s+= (\d+)`).FindAllStringSubmatch(string(source), -1) {
		if allowed[strings.ToLower(found[1])] {
			numbers = append(numbers, found[2])
		}
	}
	if n := len(numbers); n < 100 || n > 330 {
		t.Fatalf("%d system calls are allowed", n)
	}
	return strings.Join(numbers, ",")
}

// TestUnderTheUnitsFilter: with only the system calls of the systemd unit the daemon drops its
// capabilities, adds the guard, claims, wakes by a program, hands over, stores, reloads, and
// ends in order.
func TestUnderTheUnitsFilter(t *testing.T) {
	t.Parallel()
	allowed := allowedByUnit(t)
	ctx, lan := newLANFor(t, 2*time.Minute)
	dir := t.TempDir()
	program := filepath.Join(dir, "wake")
	h := &harness{TB: t, ctx: ctx, lan: lan}
	h.must(os.WriteFile(program, []byte(witness), 0o755))
	conf := fastProbe + "claim: {guard: on}\n" + nasConf(fmt.Sprintf("agentless: false, wake_command: [%q, %q]", program, dir))
	d, err := labdaemon.Start(ctx, lan, dir, labdaemon.Options{Exe: os.Args[0], Env: append([]string{confinedTo + "=" + allowed}, programEnv...), Config: conf})
	h.must(err)
	h.daemon = d
	h.killAtEnd(d)
	if text := seccompOf(h); text != "2" {
		t.Fatalf("Seccomp is %q: the daemon runs without a filter", text)
	}
	wantEveryThread(h, daemonPrivileges(os.Geteuid()))
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	h.connect(lan.Client(), nas4, 22)
	h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if told, err := os.ReadFile(filepath.Join(dir, "told")); err == nil {
			if !strings.Contains(string(told), "CapEff:\t0000000000000000\n") {
				t.Errorf("the wake command recorded\n%s", told)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the wake command has not run")
		}
	}
	h.reload(conf, "configuration reloaded")
	h.waitStored("registered", 1)
	ending, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if code, err := h.daemon.Stop(ending); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	for line := range strings.Lines(h.daemon.Log.Text()) {
		if strings.Contains(line, "operation not permitted") {
			t.Errorf("a system call is missed: %s", line)
		}
	}
}

// seccompOf returns the mode of the daemon's filter; 2 is a BPF program.
func seccompOf(h *harness) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.daemon.Pid()))
	h.must(err)
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "Seccomp:"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
