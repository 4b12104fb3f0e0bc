package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter/internal/shell"
)

// relate checks the values that must fit together, if each is valid by itself.
func (s *stack) relate(c *Config) {
	if s.report.sound("registration.trust", "registration.allow") {
		s.relateTrust(c.Registration)
	}
	if s.report.sound("registration.token") && c.Registration.Token != "" {
		s.relateSecret("registration.token")
	}
	if s.report.sound("http.token") && c.HTTP.Token != "" {
		s.relateSecret("http.token")
	}
	if s.report.sound("notify.urls") && len(c.Notify.URLs) > 0 {
		s.relateSecret("notify.urls")
	}
	if s.report.sound("registration.listen", "http.listen") {
		s.relateListen(c)
	}
	if s.report.sound("probe.interval", "probe.misses", "probe.timeout") {
		s.relateProbe(c.Probe)
	}
	if s.report.sound("claim.mode", "claim.guard", "wake.local") {
		s.relateBind(c)
	}
	if s.report.sound("energy.idle_watts", "energy.sleep_watts") {
		s.relateEnergy(c.Energy)
	}
	if s.report.sound("machines", "hold.ready_timeout") {
		s.relateDelays(c)
	}
}

// relateDelays refuses a delay that is longer than the time to wait for the service.
func (s *stack) relateDelays(c *Config) {
	for _, spec := range c.Machines {
		for _, a := range spec.Monitor {
			for _, p := range a.Ports {
				own := a.Settings[p]
				if own.ReadyTimeout == 0 && own.Ready.Delay >= c.Hold.ReadyTimeout {
					s.place("machines").wrong(own.Ready.String(), fmt.Sprintf(
						"a ready_timeout longer than the delay for %s of %q, since hold.ready_timeout is %s", p, spec.Name, Brief(c.Hold.ReadyTimeout)))
				}
			}
		}
	}
}

func (s *stack) relateTrust(r Registration) {
	if r.Trust == TrustAllowlist && len(r.Allow) == 0 {
		s.place("registration.allow").wrong([]any{}, "at least one MAC address, since registration.trust is allowlist")
	}
}

// othersRead is the read permission of all other users of this host.
const othersRead = 0o004

// othersWrite is their write permission. With it they could make the daemon run a wake_command.
const othersWrite = 0o002

// relateSecret refuses a secret in a file that all users can read. A group may read it, so that a
// daemon without root can.
func (s *stack) relateSecret(path string) {
	l, ok := s.source(path)
	if !ok || l.mode&othersRead == 0 {
		return
	}
	k, _ := s.table.find(path)
	s.place(path).wrong(s.merged.Get(path), fmt.Sprintf(
		"a file that other users may not read, since it holds a secret, and its mode is %04o: put it into %s (mode 600) as %s=..., "+
			"or `chmod o-rwx %s` if the daemon's user is in the file's group", l.mode.Perm(), DefaultEnvironment, k.env(), shell.Quote(l.file)))
}

// relateListen refuses an address that both servers would use. Port 0 takes a free port each time.
func (s *stack) relateListen(c *Config) {
	for i, addr := range c.HTTP.Listen {
		if slices.Contains(c.Registration.Listen, addr) && !strings.HasSuffix(addr, ":0") {
			s.place("http.listen").entry(i).wrong(addr, "an address that is not in registration.listen")
		}
	}
}

// relateProbe refuses a timeout that ends before the misses are counted: no machine would ever be
// claimed.
func (s *stack) relateProbe(p Probe) {
	if least := p.Interval * time.Duration(p.Misses); p.Timeout < least {
		s.place("probe.timeout").wrong(p.Timeout,
			fmt.Sprintf("at least probe.interval x probe.misses, which is %s", Brief(least)))
	}
}

// relateBind refuses settings that cannot work if the kernel owns the claimed addresses. The kernel
// answers a SYN to such an address with a reset (RFC 9293 section 3.10.7.1) unless the guard drops
// the SYN, and delivers packets of local programs to itself, so that no packet socket sees them.
func (s *stack) relateBind(c *Config) {
	if c.Claim.Mode != ModeBind {
		return
	}
	if c.Claim.Guard == GuardOff {
		s.place("claim.guard").wrong(c.Claim.Guard,
			"auto or on, since claim.mode is bind: without the guard our own kernel would refuse every first connection")
	}
	if c.Wake.Local {
		s.place("wake.local").wrong(c.Wake.Local,
			"false, since claim.mode is bind: what this host sends to an address that its kernel owns never leaves it")
	}
}

func (s *stack) relateEnergy(e Energy) {
	if e.SleepWatts > e.IdleWatts {
		s.place("energy.sleep_watts").wrong(e.SleepWatts, fmt.Sprintf("at most energy.idle_watts, which is %v", e.IdleWatts))
	}
}
