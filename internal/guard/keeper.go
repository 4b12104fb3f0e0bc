package guard

import (
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// CheckInterval is how often a Keeper checks the tables: a firewall that loads its rules may
// delete all tables, also ours.
const CheckInterval = 10 * time.Second

// The modes of a Keeper (claim.guard).
const (
	ModeAuto = "auto" // if possible
	ModeOn   = "on"   // always, or Mount fails
	ModeOff  = "off"
)

// Status is whether our own host's kernel is kept silent about claimed addresses, as the API
// shows it.
type Status struct {
	Mode   string `json:"mode"` // claim.guard
	Active bool   `json:"active"`
	Reason string `json:"reason"` // why it is not active, and what that means
	Limits string `json:"limits"` // what it cannot do on this kernel though it is active
}

// Table keeps the kernel silent about addresses, as Guard does. After an error
// Check tries again.
type Table interface {
	Hold(ifi string, addrs ...netip.Addr) error
	Release(ifi string, addrs ...netip.Addr) error
	Divert(ifi string, ways ...Flow) error
	Undivert(ifi string, ways ...Flow) error
	Attach(ifi string) error
	Check() error
	Limits() string
	Close() error
}

// Keeper checks the guard regularly and has its status. Without a guard it does nothing. A
// guard that fails does not stop the claims: a machine that cannot be woken is worse than
// an ICMP error.
//
// The zero Keeper has no guard. Only Status and Needed are safe for other goroutines than
// the one that mounted it.
type Keeper struct {
	table Table // nil: there is none
	mode  string
	log   *slog.Logger
	next  time.Time              // of the next check
	state atomic.Pointer[Status] // nil: not mounted so far
}

// Mount calls install, unless the mode is ModeOff. It returns an error only with ModeOn, if
// the guard cannot be installed.
func (k *Keeper) Mount(mode string, install func() (Table, error), log *slog.Logger, now time.Time) error {
	k.mode, k.log = mode, log
	if mode == ModeOff {
		// A crashed run may have left one. Without nftables there is nothing to clear.
		if err := Clear(); err != nil {
			log.Debug("cannot remove the guard of an earlier run", "event", "guard_unknown", "err", err)
		}
		k.setAbsent("claim.guard is off", "claim.guard: auto")
		return nil
	}
	t, err := install()
	switch {
	case err == nil:
		k.table, k.next = t, now.Add(CheckInterval)
		k.set("")
		log.Info("the guard keeps this host's kernel silent about claimed addresses", "event", "guard_up", "mode", mode)
		if limits := t.Limits(); limits != "" {
			log.Warn("the guard is limited on this kernel", "event", "guard_limited", "reason", limits)
		}
		return nil
	case mode == ModeOn:
		k.set(err.Error())
		return err
	}
	k.setAbsent(err.Error(), "give nightporter nftables and CAP_NET_ADMIN")
	return nil
}

// setAbsent logs what the missing guard means on this host.
func (k *Keeper) setAbsent(reason, remedy string) {
	const safe = "claims are safe without it: this host forwards no packets, and the kernel owns no claimed address"
	const unsafe = "this host forwards packets, so its kernel may answer a sleeping machine's clients with ICMP errors"
	settings := forwarding()
	if len(settings) == 0 {
		k.set(reason + "; " + safe)
		k.log.Info("no guard, and none is needed: "+safe, "event", "guard_needless", "reason", reason)
		return
	}
	k.set(reason + "; " + unsafe)
	k.log.Warn("no guard: "+unsafe, "event", "guard_missing", "settings", settings, "reason", reason, "remedy", remedy)
}

// Needed reports whether a missing guard matters. It does not if the operator has switched
// it off.
func (k *Keeper) Needed() bool {
	switch k.mode {
	case ModeOff:
		return false
	case ModeOn:
		return true
	}
	return len(forwarding()) > 0
}

// forwarding returns the settings by which this host forwards packets. If it does, its
// kernel answers packets for addresses that are not its own.
func forwarding() (settings []string) {
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) != "0" {
			settings = append(settings, path)
		}
	}
	return settings
}

// set sets the status: reason is why the guard is not active, or "" if it is.
func (k *Keeper) set(reason string) {
	s := &Status{Mode: k.mode, Active: k.table != nil && reason == "", Reason: reason}
	if s.Active {
		s.Limits = k.table.Limits()
	}
	k.state.Store(s)
}

// Status returns the status of the guard.
func (k *Keeper) Status() Status {
	if state := k.state.Load(); state != nil {
		return *state
	}
	return Status{Mode: k.mode, Reason: "nightporter is starting"}
}

// Hold silences the kernel about addresses that are claimed on an interface. A failure is
// logged, and Check tries again.
func (k *Keeper) Hold(ifi string, addrs []netip.Addr) {
	if k.table != nil {
		k.noteResult(k.table.Hold(ifi, addrs...))
	}
}

// Release ends what Hold began.
func (k *Keeper) Release(ifi string, addrs []netip.Addr) {
	if k.table != nil {
		k.noteResult(k.table.Release(ifi, addrs...))
	}
}

// Divert keeps the kernel from forwarding packets of flows that arrive on an interface.
func (k *Keeper) Divert(ifi string, ways []Flow) {
	if k.table != nil {
		k.noteResult(k.table.Divert(ifi, ways...))
	}
}

// Undivert ends what Divert began.
func (k *Keeper) Undivert(ifi string, ways []Flow) {
	if k.table != nil {
		k.noteResult(k.table.Undivert(ifi, ways...))
	}
}

// Attach restores the guard on an interface that was created again.
func (k *Keeper) Attach(ifi string) {
	if k.table != nil {
		k.noteResult(k.table.Attach(ifi))
	}
}

// Check checks the guard if that is due, and reports whether it was.
func (k *Keeper) Check(now time.Time) bool {
	if k.table == nil || now.Before(k.next) {
		return false
	}
	k.next = now.Add(CheckInterval)
	k.noteResult(k.table.Check())
	return true
}

// Next returns when Check is due, or the zero time.
func (k *Keeper) Next() time.Time { return k.next }

// noteResult logs when the guard begins to fail and when it works again. A failing guard is
// tried again with every claim, release and check, which would fill the log.
func (k *Keeper) noteResult(err error) {
	active := k.Status().Active
	switch {
	case err != nil:
		k.set(err.Error())
		if active {
			k.log.Error("the guard fails: this host's kernel may answer for claimed addresses, or drop packets for released ones", "event", "guard_failed",
				"err", err, "again_every", CheckInterval)
		}
	case !active:
		k.set("")
		k.log.Info("the guard works again", "event", "guard_back")
	}
}

// Close removes the guard.
func (k *Keeper) Close() {
	if k.table == nil {
		return
	}
	if err := k.table.Close(); err != nil {
		k.log.Error("cannot remove the guard", "event", "guard_stuck", "err", err)
	}
	k.table = nil
	k.set("nightporter has stopped")
}
