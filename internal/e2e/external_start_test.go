package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// TestExternalStarts: machines that start without the porter test their addresses, by duplicate
// address detection and by RFC 5227, and find no conflict. An ordinary run has a tenth of the
// starts of the whole proof in responder mode.
func TestExternalStarts(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			starts := 5
			if mode.name == "responder" {
				starts = wholeProof / 10
				if *connections >= wholeProof {
					starts = *connections
				}
			}
			ctx, network := newLANFor(t, time.Minute+time.Duration(starts)*time.Second) // not parallel: the timing of address tests does not adapt to the load
			h := openOn(ctx, t, network, fastProbe+mode.conf)
			machines := make([]*lab.Machine, min(starts, 10))
			for i := range machines {
				m, err := h.lan.AddMachine(lab.MachineConfig{
					Name: fmt.Sprint("m", i), ARPProbe: true, Announce: i%2 == 0, Boot: time.Duration(20+30*i) * time.Millisecond,
					Addrs: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.77.0.%d/24", 50+i)), netip.MustParsePrefix(fmt.Sprintf("fd77::%d/64", 50+i))},
				})
				h.must(err)
				machines[i] = m
			}
			began, done := time.Now(), 0
			for done < starts {
				var round errgroup.Group
				for _, m := range machines[:min(len(machines), starts-done)] {
					round.Go(func() error { return startExternally(h, m) })
					done++
				}
				h.must(round.Wait())
			}
			t.Logf("%d of %d hand starts passed duplicate address detection (%.0f s)", done, starts, time.Since(began).Seconds())
		})
	}
}

// startExternally puts m to sleep and starts it without the porter. An address that m found in
// use is an error.
func startExternally(h *harness, m *lab.Machine) error {
	ctx := h.within(20 * time.Second)
	n := h.daemon.Log.Len()
	if err := sleepRegisteredAs(ctx, h, m, registration(m.Name(), m.MAC(), monitored{m.Addr4(), []any{22}}, monitored{m.Addr6(), []any{22}})); err != nil {
		return err
	}
	if err := m.PowerOn(); err != nil {
		return err
	}
	if _, err := m.WaitEvent(ctx, lab.NetworkUp); err != nil {
		return err
	}
	for _, e := range m.Log() {
		if e.Kind == lab.DADFailed {
			return fmt.Errorf("%s found %v in use", m.Name(), e.Addr)
		}
	}
	_, err := h.daemon.Log.Wait(ctx, n, labdaemon.Moved(m.Name(), "settling", "awake", string(machine.WhyStarted)))
	return err
}
