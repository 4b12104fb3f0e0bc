package porter

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/guard"
)

// sentryRound is how often the guard is looked after: somebody who loads a
// firewall anew may delete all tables, ours among them.
const sentryRound = 10 * time.Second

// kernelGuard keeps the kernel silent about addresses; package guard's is the
// one in earnest. After an error Check tries again.
type kernelGuard interface {
	Hold(addrs ...netip.Addr) error
	Release(addrs ...netip.Addr) error
	Check() error
	Close() error
}

// sentry looks after the guard, and tells how it is. Without a guard it does
// nothing. A guard that fails does not stop the claims: a machine that could
// not be woken would be worse than an ICMP error.
type sentry struct {
	guard kernelGuard // nil: there is none
	mode  string
	log   *slog.Logger
	next  time.Time                    // of the next round
	state atomic.Pointer[guard.Status] // nil: nothing has been said so far
}

// mount has install make a guard, as far as the mode asks for one. The error
// says that there has to be one, and that there is none.
func (s *sentry) mount(mode string, log *slog.Logger, install func() (kernelGuard, error), now time.Time) error {
	s.mode, s.log = mode, log
	if mode == config.GuardOff {
		s.absent("claim.guard is off", "claim.guard: auto")
		return nil
	}
	g, err := install()
	switch {
	case err == nil:
		s.guard, s.next = g, now.Add(sentryRound)
		s.say("")
		log.Info("the guard keeps this host's kernel silent about claimed addresses", "mode", mode)
		return nil
	case mode == config.GuardOn:
		s.say(err.Error())
		return err
	}
	s.absent(err.Error(), "give nightporter nftables and CAP_NET_ADMIN")
	return nil
}

// absent says once what it means that there is no guard.
func (s *sentry) absent(reason, remedy string) {
	const safe = "claims are safe without it: this host forwards no packets, and the kernel owns no claimed address"
	const unsafe = "this host forwards packets, so its kernel may answer a sleeping machine's clients with ICMP errors"
	settings := forwarding()
	if len(settings) == 0 {
		s.say(reason + "; " + safe)
		s.log.Info("no guard, and none is needed: "+safe, "reason", reason)
		return
	}
	s.say(reason + "; " + unsafe)
	s.log.Warn("no guard: "+unsafe, "settings", settings, "reason", reason, "remedy", remedy)
}

// needed tells whether the absence of the guard would matter. Who has switched
// it off does not want to be told.
func (s *sentry) needed() bool {
	switch s.mode {
	case config.GuardOff:
		return false
	case config.GuardOn:
		return true
	}
	return len(forwarding()) > 0
}

// forwarding returns the settings by which this host forwards packets (design,
// fact 4).
func forwarding() (settings []string) {
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) != "0" {
			settings = append(settings, path)
		}
	}
	return settings
}

func (s *sentry) say(reason string) {
	s.state.Store(&guard.Status{Mode: s.mode, Active: s.guard != nil && reason == "", Reason: reason})
}

// status may be asked for by any goroutine.
func (s *sentry) status() guard.Status {
	if state := s.state.Load(); state != nil {
		return *state
	}
	return guard.Status{Mode: s.mode, Reason: "nightporter is starting"}
}

func (s *sentry) hold(addrs []netip.Addr) {
	if s.guard != nil {
		s.note(s.guard.Hold(addrs...))
	}
}

func (s *sentry) release(addrs []netip.Addr) {
	if s.guard != nil {
		s.note(s.guard.Release(addrs...))
	}
}

// round looks after the guard when that is due, and reports whether it did.
func (s *sentry) round(now time.Time) bool {
	if s.guard == nil || now.Before(s.next) {
		return false
	}
	s.next = now.Add(sentryRound)
	s.note(s.guard.Check())
	return true
}

// note says what has changed: a guard that fails is asked to do its work with
// every claim, release and round, and the log is not for repetition.
func (s *sentry) note(err error) {
	active := s.status().Active
	switch {
	case err != nil:
		s.say(err.Error())
		if active {
			s.log.Error("the guard fails: this host's kernel may answer for claimed addresses, or drop packets for released ones",
				"err", err, "again_every", sentryRound)
		}
	case !active:
		s.say("")
		s.log.Info("the guard works again")
	}
}

// close takes the guard away. The sentry has none afterwards.
func (s *sentry) close() {
	if s.guard == nil {
		return
	}
	if err := s.guard.Close(); err != nil {
		s.log.Error("cannot remove the guard", "err", err)
	}
	s.guard = nil
	s.say("nightporter has stopped")
}

// mountGuard makes the guard for our interfaces. It comes after everything else
// that can fail at the start: a second nightporter, started by mistake, then
// ends before it has touched the first one's table. In bind mode there has to be
// one: a kernel that owns the addresses refuses every connection.
func (p *Porter) mountGuard() error {
	mode, key := p.conf.Claim.Guard, "claim.guard: on"
	if p.bound() {
		mode, key = config.GuardOn, "claim.mode: bind needs the guard"
	}
	if mode == config.GuardOff {
		// A run that crashed may have left one. Where there are no nftables
		// there is nothing to clear either.
		if err := guard.Clear(); err != nil {
			p.log.Debug("cannot look for an old guard", "err", err)
		}
	}
	err := p.sentry.mount(mode, p.log, func() (kernelGuard, error) {
		return guard.Install(guard.Options{Interfaces: p.interfaces(), Bound: p.bound()})
	}, time.Now())
	if err != nil {
		return fmt.Errorf("%s, but there can be none: %w; or set claim.mode to responder and claim.guard to auto", key, err)
	}
	return nil
}

// Guard tells whether our kernel is kept silent about claimed addresses.
func (p *Porter) Guard() guard.Status { return p.sentry.status() }
