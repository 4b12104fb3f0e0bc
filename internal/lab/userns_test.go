package lab_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"nightporter/internal/lab"
)

// nobodyID is an ordinary user, who need not be in the list of users.
const nobodyID = 65534

// asOrdinaryUser makes cmd run as an ordinary user without privileges.
func asOrdinaryUser(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	need(t)
	uids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	if f := strings.Fields(string(uids)); len(f) != 3 || f[2] == "1" {
		t.Logf("this run is in a user namespace already (%q): all of it is the test", f)
		return nil
	}
	if limit, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err == nil && strings.TrimSpace(string(limit)) == "0" {
		skip(t, "user.max_user_namespaces is 0: ordinary users have no namespaces here")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyID, Gid: nobodyID}}
	cmd.Dir = "/"
	return cmd
}

func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	cmd := asOrdinaryUser(t, exec.CommandContext(testContext(t), "/proc/self/exe", "-test.v",
		"-test.run=^(TestAllHostsReachEachOther|TestServiceDelay|TestSleepAfterServesMeanwhile|TestProxy|TestProcessRunsInTheHost.*)$"))
	if cmd == nil {
		return
	}
	cmd.Env = append(os.Environ(), "CI=true") // there, a skip is a failure
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") != 5 {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
}

func TestUserNamespaceHandsTheExitCodeBack(t *testing.T) {
	t.Parallel()
	cmd := asOrdinaryUser(t, helper(testContext(t), "exit"))
	if cmd == nil {
		return
	}
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitStatus {
		t.Errorf("ended with %v, want exit status %d", err, exitStatus)
	}
}

func TestUserNamespacePassesSignalsOn(t *testing.T) {
	t.Parallel()
	cmd := asOrdinaryUser(t, helper(testContext(t), "signal"))
	if cmd == nil {
		return
	}
	out := start(t, cmd)
	if line, err := out.ReadString('\n'); err != nil || line != "ready 0\n" {
		t.Fatalf("the process in the user namespace says %q (%v), want to be ready as root", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitStatus {
		t.Errorf("ended with %v, want exit status %d", err, exitStatus)
	}
}

// The inner process must die with the outer one, which ends the output.
func TestUserNamespaceDiesWithItsParent(t *testing.T) {
	t.Parallel()
	cmd := asOrdinaryUser(t, helper(context.Background(), "signal"))
	if cmd == nil {
		return
	}
	out := start(t, cmd)
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if line, err := out.ReadString('\n'); err == nil {
		t.Errorf("the process in the user namespace lives on: %q", line)
	}
	if sig := deathSignal(cmd.Wait()); sig != syscall.SIGKILL {
		t.Errorf("ended by %v, want %v", sig, syscall.SIGKILL)
	}
}

func start(t *testing.T, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(out)
}

// TestLabIsThere says in one line whether end-to-end tests ran here; the
// Makefile shows it.
func TestLabIsThere(t *testing.T) {
	if err := lab.Available(); err != nil {
		skip(t, "end-to-end tests were SKIPPED, no LAN can be built here: "+err.Error())
	}
	t.Log("end-to-end tests ran: a LAN can be built here")
}
