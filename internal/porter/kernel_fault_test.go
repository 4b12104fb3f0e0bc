package porter

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"nightporter/internal/config"
	"nightporter/internal/guard"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
)

// kernelFaults are what a call into the kernel fails with.
var kernelFaults = []error{unix.EPERM, unix.ENOBUFS, unix.EBUSY, os.ErrDeadlineExceeded, os.ErrClosed}

// guardShown returns what is seen of the guard from outside: the metric, and what
// /api/v1/status shows.
func guardShown(x *fixture) (metric float64, status string) {
	x.Helper()
	reg := prometheus.NewRegistry()
	_, err := metrics.New(reg, metrics.Source{
		Machines: func() []machine.Status { return nil },
		Guarded:  func() bool { return x.porter.Guard().Active },
	})
	if err != nil {
		x.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		x.Fatal(err)
	}
	metric = -1
	for _, f := range families {
		if f.GetName() == "nightporter_guard_active" {
			metric = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	shown, err := json.Marshal(x.porter.Guard())
	if err != nil {
		x.Fatal(err)
	}
	return metric, string(shown)
}

// A guard that fails while machines sleep keeps no machine from being claimed
// and woken. That is logged once, shown, and made good.
func TestFaultGuard(t *testing.T) {
	for _, fault := range kernelFaults {
		t.Run(fault.Error(), func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				g := x.guarded()
				if s := x.porter.Guard(); !s.Active || s.Mode != guard.ModeAuto || s.Reason != "" {
					t.Errorf("at first: %+v", s)
				}
				x.asleep(nas())
				g.fails = fault
				e := x.asleep(tv())
				x.pass(time.Minute)
				x.hear(syn(tv4, 80))
				x.want(e, machine.Waking, tv4)
				if metric, status := guardShown(x); metric != 0 || !strings.Contains(status, fmt.Sprintf(`"reason":%q`, fault)) {
					t.Errorf("while it fails: guard_active %v, status %s", metric, status)
				}
				g.fails = nil
				x.pass(guard.CheckInterval)
				if metric, status := guardShown(x); metric != 1 || !strings.Contains(status, `"active":true`) {
					t.Errorf("when it works again: guard_active %v, status %s", metric, status)
				}
				for _, line := range []string{"the guard fails", "the guard works again"} {
					if n := x.logged(line); n != 1 {
						t.Errorf("%q is said %d times, want once", line, n)
					}
				}
				if n := strings.Count(strings.Join(g.did, "\n"), "check"); n != 7 {
					t.Errorf("looked after %d times in 76 s", n)
				}
				x.porter.Close()
				x.porter.Close()
				if s := x.porter.Guard(); g.closed != 1 || s.Active {
					t.Errorf("closed %d times: %+v", g.closed, s)
				}
			})
		})
	}
}

// So it is with a kernel that does not take the addresses in.
func TestFaultBind(t *testing.T) {
	for _, fault := range kernelFaults {
		t.Run(fault.Error(), func(t *testing.T) {
			withLoop(t, func(c *config.Config) { c.Claim.Mode = config.ModeBind }, func(x *fixture) {
				x.guarded()
				bound, fails := x.fakeBinder()
				*fails = fault
				e := x.asleep(nas())
				x.pass(time.Minute)
				x.hear(syn(nas4, 22))
				x.want(e, machine.Waking, nas4, nas6)
				if n := x.logged("cannot check the claimed addresses"); n != 1 || len(bound) > 0 {
					t.Errorf("said %d times, want once; bound are %v", n, bound)
				}
				*fails = nil
				x.pass(guard.CheckInterval)
				if len(bound) != 2 || x.logged("has the claimed addresses again") != 1 {
					t.Errorf("made good: bound are %v", bound)
				}
			})
		})
	}
}

// A machine that starts while the kernel begins to guard its addresses neither
// hears that the one it speaks for is ours, nor is answered for there.
func TestFaultSlowGuard(t *testing.T) {
	for name, frame := range map[string]func(*fixture){
		"it tests an address": func(x *fixture) { x.n.reader.Handle(lantest.ARPProbe(nasMAC, nas4)) },
		"it uses an address":  func(x *fixture) { x.n.reader.Handle(arpUse(nasMAC, nas4)) },
	} {
		t.Run(name, func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				x.guarded().meanwhile = func() { frame(x) }
				e := x.register(nas())
				x.pass(3500 * time.Millisecond)
				x.want(e, machine.Settling, nas6)
				if owners := x.announced(nas4); owners != nil {
					t.Errorf("announced at %v", owners)
				}
				x.pass(3 * time.Second)
				x.want(e, machine.Asleep, nas4, nas6) // it was a late frame after all
			})
		})
	}
}
