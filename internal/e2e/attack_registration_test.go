package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// attackTime limits a test with an attack.
const attackTime = 3 * time.Minute

// everyAbuse returns all abuses.
func everyAbuse() (all []abuse) {
	for _, a := range abuses {
		all = append(all, a)
	}
	return all
}

// TestAttackRegistration: an unprivileged program on one host of the LAN keeps as many
// connections to the registration as it can. It is silent, sends garbage, sends slowly, or lets
// the porter look for an address that no host has. All others register at the first attempt,
// known machines and new ones, and a machine goes to sleep and is woken.
func TestAttackRegistration(t *testing.T) {
	onlyVariants(t)
	for name, what := range abuses {
		t.Run(name, func(t *testing.T) {
			h := openFor(t, fastProbe, attackTime)
			good, nas, calm := prepareRegistrants(h)
			runAttack(h, []*attacker{addAttacker(h, 0, 8, ip4)}, 64, []abuse{what}, func() { wantAllRegistered(h, good, nas, calm) })
			wantFewRefusalLines(h)
		})
	}
}

// TestAttackRegistrationFromManyAddresses: the attacker gives its network card many addresses,
// and makes all attacks at the same time.
func TestAttackRegistrationFromManyAddresses(t *testing.T) {
	onlyVariants(t)
	for _, f := range []family{ip4, ip6} {
		for _, addresses := range []int{1, 64} {
			t.Run(fmt.Sprintf("%d of "+string(f), addresses, 0), func(t *testing.T) {
				h := openFor(t, fastProbe, attackTime)
				good, nas, calm := prepareRegistrants(h)
				runAttack(h, []*attacker{addAttacker(h, 0, addresses, f)}, 64, everyAbuse(), func() { wantAllRegistered(h, good, nas, calm) })
				wantFewRefusalLines(h)
			})
		}
	}
}

// TestAttackRegistrationFromManyHosts: several hosts attack together.
func TestAttackRegistrationFromManyHosts(t *testing.T) {
	onlyVariants(t)
	h := openFor(t, fastProbe, attackTime)
	good, nas, calm := prepareRegistrants(h)
	var attackers []*attacker
	for n := range soak(3, 8) {
		attackers = append(attackers, addAttacker(h, n, 8, ip4))
	}
	runAttack(h, attackers, 64, everyAbuse(), func() { wantAllRegistered(h, good, nas, calm) })
	wantFewRefusalLines(h)
}

// TestAttackRegistersItself: a host registers itself repeatedly, each time with another port.
// Log and history stay short, and other hosts register.
func TestAttackRegistersItself(t *testing.T) {
	onlyVariants(t)
	h := openFor(t, fastProbe, attackTime)
	good, nas, calm := prepareRegistrants(h)
	a := addAttacker(h, 0, 1, ip4)
	itself := func(_ context.Context, a *attacker, conn net.Conn) {
		_, _ = io.WriteString(conn, registration(a.Name(), a.MAC(), monitored{a.from[0], []any{1 + a.tried.Load()}}))
		_, _ = io.Copy(io.Discard, conn)
	}
	runAttack(h, []*attacker{a}, 64, []abuse{itself}, func() { wantAllRegistered(h, good, nas, calm) })
	lines := 0
	for _, e := range h.daemon.Log.Entries(0) {
		if e.Field("machine") == a.Name() || e.Event() == "registration_refused" {
			lines++
		}
	}
	_, text, err := h.daemon.Get(h.ctx, "/api/v1/events?limit=1000&machine="+a.Name())
	h.must(err)
	events := strings.Count(text, `"kind"`)
	h.Logf("%d lines and %d events", lines, events)
	if lines > 100 || events > 50 {
		h.Errorf("%d lines and %d events about %s", lines, events, a.Name())
	}
}
