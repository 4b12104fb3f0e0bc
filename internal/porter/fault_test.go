package porter

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"nightporter/internal/config"
	"nightporter/internal/guard"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
)

// The faults of the kernel as the loop meets them. What is on the other side of
// the seams has tests of its own.

// kernelFaults are what a call into the kernel fails with.
var kernelFaults = []error{unix.EPERM, unix.ENOBUFS, unix.EBUSY, os.ErrDeadlineExceeded, os.ErrClosed}

// guardShown returns what is seen of the guard from outside: the metric, and what
// /api/v1/status shows.
func (h *night) guardShown() (metric float64, status string) {
	h.Helper()
	reg := prometheus.NewRegistry()
	_, err := metrics.New(reg, metrics.Source{
		Machines: func() []machine.Status { return nil },
		Guarded:  func() bool { return h.Guard().Active },
	})
	if err != nil {
		h.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		h.Fatal(err)
	}
	metric = -1
	for _, f := range families {
		if f.GetName() == "nightporter_guard_active" {
			metric = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	shown, err := json.Marshal(h.Guard())
	if err != nil {
		h.Fatal(err)
	}
	return metric, string(shown)
}

// TestFaultGuard: a guard that fails in the middle of the night keeps no machine
// from being claimed and woken. It is told of once, seen, and made good.
func TestFaultGuard(t *testing.T) {
	for _, fault := range kernelFaults {
		t.Run(fault.Error(), func(t *testing.T) {
			overnight(t, nil, func(h *night) {
				g := h.mounted()
				h.asleep(nas())
				g.fails = fault
				r := h.asleep(tv())
				h.pass(time.Minute)
				h.frame(syn(tv4, 80))
				h.want(r, machine.Waking, tv4)
				if metric, status := h.guardShown(); metric != 0 || !strings.Contains(status, fmt.Sprintf(`"reason":%q`, fault)) {
					t.Errorf("while it fails: guard_active %v, status %s", metric, status)
				}
				g.fails = nil
				h.pass(guard.CheckInterval)
				if metric, status := h.guardShown(); metric != 1 || !strings.Contains(status, `"active":true`) {
					t.Errorf("when it works again: guard_active %v, status %s", metric, status)
				}
				for _, line := range []string{"the guard fails", "the guard works again"} {
					if n := strings.Count(h.log.String(), line); n != 1 {
						t.Errorf("%q is said %d times, want once", line, n)
					}
				}
			})
		})
	}
}

// TestFaultBind: so it is with a kernel that does not take the addresses in.
func TestFaultBind(t *testing.T) {
	for _, fault := range kernelFaults {
		t.Run(fault.Error(), func(t *testing.T) {
			overnight(t, func(c *config.Config) { c.Claim.Mode = config.ModeBind }, func(h *night) {
				h.mounted()
				bound, failed := map[netip.Addr]bool{}, fault
				h.n.binder.Add = func(ips ...netip.Addr) error {
					if failed != nil {
						return failed
					}
					for _, ip := range ips {
						bound[ip] = true
					}
					return nil
				}
				h.n.binder.Remove = func(...netip.Addr) error { return failed }
				h.n.binder.List = func() ([]netip.Addr, error) { return slices.Collect(maps.Keys(bound)), failed }
				r := h.asleep(nas())
				h.pass(time.Minute)
				h.frame(syn(nas4, 22))
				h.want(r, machine.Waking, nas4, nas6)
				if n := strings.Count(h.log.String(), "cannot look after the claimed addresses"); n != 1 || len(bound) > 0 {
					t.Errorf("said %d times, want once; bound are %v", n, bound)
				}
				failed = nil
				h.pass(guard.CheckInterval)
				if len(bound) != 2 || !strings.Contains(h.log.String(), "has the claimed addresses again") {
					t.Errorf("made good: bound are %v", bound)
				}
			})
		})
	}
}

// TestFaultLook: an interface that the kernel cannot be asked about for a while is
// no interface that is out, and what it told of meanwhile is acted upon later.
func TestFaultLook(t *testing.T) {
	for _, fault := range kernelFaults {
		t.Run(fault.Error(), func(t *testing.T) {
			overnight(t, nil, func(h *night) {
				r := h.asleep(nas())
				h.pass(10 * time.Second)
				h.told(nas4)
				looks := 0
				h.n.look = func() (lan.Outlook, error) { looks++; return lan.Outlook{}, fault }
				h.inspect(h.n, lan.Change{LinkLost: true})
				h.pass(10 * time.Second)
				if looks != 11 {
					t.Errorf("looked %d times in 10 s, want once a second", looks)
				}
				h.want(r, machine.Asleep, nas4, nas6)
				if owners := h.told(nas4); owners != nil || h.n.out() != nil {
					t.Errorf("announced at %v, interface out: %v", owners, h.n.out())
				}
				h.n.look = h.n.observe
				h.pass(lookAgain)
				if owners := h.told(nas4); !slices.Equal(owners, []machine.MAC{h.n.MAC()}) {
					t.Errorf("announced at %v when it could be looked at, want once", owners)
				}
			})
		})
	}
}

// setLink changes the host's interface.
func (h *night) setLink(flags uint32, mtu uint32) {
	h.Helper()
	c, err := rtnetlink.Dial(nil)
	if err != nil {
		h.Fatal(err)
	}
	err = c.Link.Set(&rtnetlink.LinkMessage{
		Index: uint32(h.n.Index()), Flags: flags, Change: unix.IFF_UP, Attributes: &rtnetlink.LinkAttributes{MTU: mtu},
	})
	if err := errors.Join(err, c.Close()); err != nil {
		h.Fatal(err)
	}
}

// TestFaultSend: a magic packet that cannot be sent is told of, and those after it
// are sent all the same.
func TestFaultSend(t *testing.T) {
	for _, c := range []struct {
		fault unix.Errno
		flags uint32
		mtu   uint32
	}{{unix.ENETDOWN, 0, 1500}, {unix.EMSGSIZE, unix.IFF_UP, 68}} {
		t.Run(c.fault.Error(), func(t *testing.T) {
			overnight(t, nil, func(h *night) {
				r := h.asleep(tv())
				h.pass(10 * time.Second)
				h.setLink(c.flags, c.mtu)
				h.frame(syn(tv4, 80))
				h.pass(h.conf.Wake.Interval)
				for attempt := 1; attempt <= 2; attempt++ {
					want := fmt.Sprintf(`msg="magic packet not sent" machine=tv attempt=%d err=`, attempt)
					if n := strings.Count(h.log.String(), want); n != 1 {
						t.Errorf("%d lines with %q, want one:\n%s", n, want, &h.log)
					}
				}
				if !strings.Contains(h.log.String(), c.fault.Error()) {
					t.Errorf("the log lacks %q:\n%s", c.fault, &h.log)
				}
				h.setLink(unix.IFF_UP, 1500)
				h.pass(h.conf.Wake.Interval)
				if want := `msg="magic packet sent" machine=tv attempt=3`; !strings.Contains(h.log.String(), want) {
					t.Errorf("the log lacks %q:\n%s", want, &h.log)
				}
				h.want(r, machine.Waking, tv4)
				if got := r.Status().Tally.Attempts; got != 3 {
					t.Errorf("%d attempts are counted, want 3", got)
				}
			})
		})
	}
}
