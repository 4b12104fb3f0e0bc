package lab_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// TestProgramIsAService: it runs while the machine is awake, and is gone when the
// machine is asleep.
func TestProgramIsAService(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	m := addMachine(t, newLAN(t), lab.MachineConfig{
		Name: "nas", Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.20/24")},
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 80, Command: &lab.Command{
			Args: []string{"sh", "-c", `echo $$ >>"$PIDS"; exec sleep 1000`}, Env: []string{"PIDS=" + pids},
		}}},
	})
	running := func(n int) bool {
		b, err := os.ReadFile(pids)
		all := strings.Fields(string(b))
		if err != nil || len(all) < n {
			return false
		}
		pid, err := strconv.Atoi(all[n-1])
		return err == nil && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	for n := 1; n <= 2; n++ {
		for deadline := time.Now().Add(patience); !running(n); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the program does not run after start %d", n)
			}
		}
		if err := m.Sleep(testContext(t)); err != nil {
			t.Fatal(err)
		}
		if running(n) {
			t.Error("the program runs on while the machine sleeps")
		}
		if err := m.PowerOn(); err != nil {
			t.Fatal(err)
		}
		wait(t, m, lab.ServiceUp)
	}
}
