package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

// witness records its environment and privileges, and counts its runs.
const witness = `#!/bin/sh
cd "$1" || exit 1
{ env | sort; grep -E '^(Uid|CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs):' /proc/self/status; } >told.tmp
mv told.tmp told
echo run >>runs
`

// openCommanded starts a daemon for which a script wakes nas, which ignores magic packets. user
// is the user of the daemon, more is added to the entry of nas, and conf to the configuration.
func openCommanded(t *testing.T, user, script, more, conf string, change func(*lab.MachineConfig)) *machineTest {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	h := &harness{TB: t}
	if user == unprivilegedUser(t) {
		if err := os.Chown(dir, unprivileged, unprivileged); err != nil {
			t.Skip("needs root, and the user 65534 in its user namespace:", err)
		}
		h.must(os.Chmod(filepath.Dir(dir), 0o711)) // the directory of the test, which the user must enter
	}
	program := filepath.Join(dir, "wake")
	h.must(os.WriteFile(program, []byte(script), 0o755))
	h.ctx, h.lan = newLANFor(t, 2*time.Minute)
	nas := h.addNAS(change)
	entry := nasConf(fmt.Sprintf("wake_command: [%q, %q], %s", program, dir, more))
	return &machineTest{harness: openAs(h.ctx, t, h.lan, user, dir, fieldProbe+conf+entry), nas: nas}
}

// scriptFile returns the path of a file in the script's directory.
func (s *machineTest) scriptFile(name string) string { return filepath.Join(s.daemon.Dir(), name) }

// waitFile waits until the script has written a file.
func (s *machineTest) waitFile(name string) string {
	s.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile(s.scriptFile(name)); err == nil && len(b) > 0 {
			return string(b)
		}
		if time.Now().After(deadline) {
			s.Fatalf("the command has not written %s", name)
		}
	}
}

// countRuns returns how often the script ran.
func (s *machineTest) countRuns() int {
	b, _ := os.ReadFile(s.scriptFile("runs")) // missing before the first run
	return strings.Count(string(b), "\n")
}

// waitRuns waits for count runs of the script, and expects a second between two of them.
func (s *machineTest) waitRuns(count int) {
	s.Helper()
	seen, last := s.countRuns(), time.Time{}
	for deadline := time.Now().Add(20 * time.Second); count > 0; time.Sleep(5 * time.Millisecond) {
		now := time.Now()
		if n := s.countRuns(); n > seen {
			if n > seen+1 || now.Sub(last) < 800*time.Millisecond {
				s.Errorf("run %d came %v after the one before", n, now.Sub(last))
			}
			seen, last = n, now
			count--
		}
		if now.After(deadline) {
			s.Fatalf("the command has run %d times", seen)
		}
	}
}

// TestFieldWakeCommand: a program wakes the machine without a magic packet. It has no
// capability of the daemon, for each user.
func TestFieldWakeCommand(t *testing.T) {
	t.Parallel()
	for name, uid := range map[string]int{"root": os.Getuid(), unprivilegedUser(t): unprivileged} {
		t.Run(name, func(t *testing.T) {
			s := openCommanded(t, name, witness, "wake_transports: []", "", nil)
			wantEveryThread(s.harness, ownPrivileges(uid))
			s.sleepClaimed()
			n := s.daemon.Log.Len()
			began := time.Now()
			later := s.callLater(s.lan.Client(), nas4, 22)
			told := s.waitFile("told")
			if took := time.Since(began); took > time.Second {
				t.Errorf("the command ran %v after the knock", took)
			}
			for _, want := range []string{
				"NIGHTPORTER_MACHINE=nas\n", "NIGHTPORTER_MAC=" + s.nas.MAC().String() + "\n", "NIGHTPORTER_WAKE_MAC=" + s.nas.MAC().String() + "\n",
				"NIGHTPORTER_ADDRESSES=10.77.0.20 fd77::20\n", "NIGHTPORTER_TRIGGER=tcp\n", "NIGHTPORTER_ATTEMPT=1\n", "PATH=/usr/local/sbin:",
				fmt.Sprintf("Uid:\t%d\t", uid), "CapInh:\t" + noCapabilities, "CapPrm:\t" + noCapabilities, "CapEff:\t" + noCapabilities, "CapAmb:\t" + noCapabilities, "NoNewPrivs:\t1\n",
			} {
				if !strings.Contains(told, want) {
					t.Errorf("the command did not record %q:\n%s", want, told)
				}
			}
			s.must(s.nas.PowerOn())
			s.waitCall(later, s.nas)
			s.waitState(10*time.Second, n, "nas", "awake")
			if s.countRuns() != 1 || s.nas.MagicCount() > 0 {
				t.Errorf("%d runs and %d magic packets, want one run alone", s.countRuns(), s.nas.MagicCount())
			}
			wantEveryThread(s.harness, ownPrivileges(uid)) // the daemon's threads keep their capabilities

			// A machine that counts as awake gets no command for a requested wake.
			status, text, err := s.daemon.Post(s.ctx, "/api/v1/machines/nas/wake")
			s.must(err)
			if status != http.StatusAccepted {
				t.Errorf("a wake was answered %d: %s", status, text)
			}
			s.waitAPIEvent("nas", journal.Magic, func(journal.Event) bool { return true })
			s.sleepClaimed()
			if s.countRuns() != 1 {
				t.Errorf("%d runs, although it was up", s.countRuns())
			}
		})
	}
}

const noCapabilities = "0000000000000000\n"

// ownPrivileges returns the privileges of the daemon itself.
func ownPrivileges(uid int) privileges {
	want := daemonPrivileges(uid)
	for _, name := range []string{"Gid", "Groups"} {
		delete(want, name)
	}
	return want
}

// TestFieldWakeCommandFails: a failing command is reported once in a wake, runs again in each
// round, and does not prevent magic packets.
func TestFieldWakeCommandFails(t *testing.T) {
	const fails = "#!/bin/sh\necho run >>$1/runs\necho 'no such plug' >&2\nexit 3\n"
	s := openCommanded(t, "", fails, "agentless: false", "wake: {interval: 1s, attempts: 10}\n", deafCard)
	failed := func(level string, n int) (count int) {
		for _, e := range s.daemon.Log.Entries(n) {
			if e.Level == level && e.Field("event") == "command_failed" {
				count++
			}
		}
		return count
	}
	for wake := 1; wake <= 2; wake++ {
		s.sleepClaimed()
		n := s.daemon.Log.Len()
		later := s.callLater(s.lan.Client(), nas4, 22)
		s.waitRuns(3)
		s.nas.IgnoreMagic(0)
		s.waitCall(later, s.nas)
		s.waitState(10*time.Second, n, "nas", "awake")
		waitLine(s.harness, n, "WARN", "wake command failed", "nas", "exit status 3: no such plug")
		if got := failed("WARN", n); got != 1 {
			t.Errorf("wake %d: %d warnings, want one", wake, got)
		}
		if got := s.events("nas", journal.CommandFailed); len(got) != wake || got[wake-1].Reason != "exit status 3: no such plug" || got[wake-1].Attempts != 1 {
			t.Errorf("events: %+v", got)
		}
	}
}

// TestFieldWakeCommandHangs: a hanging command does not prevent magic packets, does not run
// twice, and ends with the daemon.
func TestFieldWakeCommandHangs(t *testing.T) {
	const hangs = "#!/bin/sh\necho run >>$1/runs\necho $$ >$1/pid\nsleep 1000 & sleep 1000\n"
	s := openCommanded(t, "", hangs, "agentless: false", "wake: {interval: 1s, attempts: 10}\n", func(c *lab.MachineConfig) { c.IgnoreMagic = 7 })
	s.sleepClaimed()
	s.wantServed(nas4)
	if s.countRuns() != 1 {
		t.Errorf("%d runs at once", s.countRuns())
	}
	var pid int
	if _, err := fmt.Sscan(s.waitFile("pid"), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-pid, 0); err != nil {
		t.Errorf("the command's group: %v", err)
	}
	code, err := s.daemon.Stop(s.within(5 * time.Second))
	if s.must(err); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for deadline := time.Now().Add(5 * time.Second); syscall.Kill(-pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the command goes on without the daemon")
		}
	}
}

// TestFieldWakeCommandAtTheEnd: wake.on_exit runs commands as well.
func TestFieldWakeCommandAtTheEnd(t *testing.T) {
	s := openCommanded(t, "", witness, "wake_transports: []", "wake: {on_exit: all}\n", nil)
	s.sleepClaimed()
	code, err := s.daemon.Stop(s.within(5 * time.Second))
	if s.must(err); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if told := s.waitFile("told"); !strings.Contains(told, "NIGHTPORTER_TRIGGER=exit\n") {
		t.Errorf("the command recorded\n%s", told)
	}
}

// TestWakePathsReload: a reload changes the path of magic packets.
func TestWakePathsReload(t *testing.T) {
	s := openCommanded(t, "", witness, "wake_transports: []", "", nil)
	s.sleepClaimed()
	s.reload(fieldProbe+nasConf("wake_transports: [udp]"), "configuration reloaded")
	s.wantServed(nas4)
	if seen := magicPackets(s.nas); s.countRuns() > 0 || seen[lab.OverUDP] == 0 || seen[lab.OverEthernet] > 0 {
		t.Errorf("%d runs of the command; magic packets %v", s.countRuns(), seen)
	}
	wantNoLine(s.harness, 100*time.Millisecond, 0, "a warning", func(e labdaemon.Entry) bool { return e.Field("event") == "command_failed" })
}
