package porter

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

const (
	// lookAgain is when an interface that cannot be worked on is looked at, should
	// the kernel's news of it not be enough.
	lookAgain = time.Second

	// longOutage is what a machine takes at least to start unnoticed: after as
	// long each is asked before its claim is announced anew.
	longOutage = time.Second

	// switchPause is how long a switch may keep a port to itself whose link came up
	// (IEEE 802.1D-2004 table 17-1: twice a Bridge Forward Delay of 15 s). Nothing
	// can be heard by then.
	switchPause = 30 * time.Second

	// reprobeTimeout is how long a machine has to answer before its claim is
	// announced again.
	reprobeTimeout = 300 * time.Millisecond
)

// openNICs opens the interfaces that the configuration names, or the one of the
// default route. It is an error if none can be opened; one that cannot is waited
// for beside another.
func (l *loop) openNICs() error {
	names := l.conf.Interfaces
	if len(names) == 0 {
		name, err := lan.DefaultInterface()
		if err != nil {
			return err
		}
		names = []string{name}
	}
	var failed error
	open := 0
	for _, name := range names {
		n := newNIC(name, l.conf.Wake.Local, l.sightings, l.replied, l.log)
		l.nics = append(l.nics, n)
		err := n.open(l.log)
		if err == nil {
			n.known = *n.network.Load()
			open++
			continue
		}
		if notReady := new(lan.NotReadyError); errors.As(err, &notReady) {
			open++ // its network is on its way
		}
		failed = cmp.Or(failed, err)
		l.lose(n, time.Now(), "cannot be opened: "+err.Error())
	}
	if open == 0 {
		return failed
	}
	return nil
}

// replied counts an answer that a reader gave.
func (l *loop) replied(k lan.Kind) {
	if k == lan.NeighborSolicitation {
		l.metrics.NDPReplied()
		return
	}
	l.metrics.ARPReplied()
}

func (l *loop) interfaces() []string {
	names := make([]string, len(l.nics))
	for i, n := range l.nics {
		names[i] = n.name
	}
	return names
}

// listen has the readers of all interfaces work until ctx ends.
func (l *loop) listen(ctx context.Context) {
	l.reading = ctx
	for _, n := range l.nics {
		n.listen(ctx, l.kick)
	}
}

// kick has the loop look at what is wrong with a link. It never blocks.
func (l *loop) kick() {
	select {
	case l.kicks <- struct{}{}:
	default: // it is about to look
	}
}

// changed takes the kernel's news.
func (l *loop) changed(c lan.Changes) {
	l.drain() // a machine that has spoken is not to be announced for
	for _, n := range l.nics {
		// One that is not there comes back with another index.
		if news, told := c.To(n.Index()); told || n.out() != nil {
			l.inspect(n, news)
		}
	}
	l.place()
}

// failed looks which readers have ended.
func (l *loop) failed() {
	for _, n := range l.nics {
		select {
		case err := <-n.failed:
			l.log.Debug("a reader has ended", "event", "reader_ended", "interface", n.name, "err", err)
			// Most often because the interface is gone, which the kernel tells of
			// too. Otherwise the sockets are opened anew, after a pause: a reader
			// that fails again and again is not to keep us busy.
			l.lose(n, time.Now(), "cannot be read: "+err.Error())
			n.Close()
		default:
		}
	}
}

// inspect looks at an interface and does what its state asks for.
func (l *loop) inspect(n *nic, news lan.Change) {
	now := time.Now()
	news.LinkLost = news.LinkLost || n.missed.LinkLost
	news.AddrLost = news.AddrLost || n.missed.AddrLost
	n.again = time.Time{}
	is, err := n.observe()
	if err != nil {
		l.log.Debug("cannot look at an interface", "event", "interface_unknown", "interface", n.name, "err", err)
		n.again, n.missed = now.Add(lookAgain), news
		return
	}
	n.missed = lan.Change{}
	c := lan.Diff(is, n.opened(), n.known, news, n.out() != nil)
	if c.Reopen {
		if err := l.reopen(n); err != nil {
			c.Fault = "cannot be opened: " + err.Error()
		}
	}
	if c.Fault != "" {
		l.lose(n, now, c.Fault)
		return
	}
	if c.Readdress {
		l.log.Info("this host's addresses have changed", "event", "readdressed", "interface", n.name, "addresses", texts(is.Network.Prefixes))
	}
	n.stale = n.stale || c.Readdress // the filter knows our own addresses
	l.regain(n, now, c, !reflect.DeepEqual(n.known, is.Network))
	n.known = is.Network
}

func texts(prefixes []netip.Prefix) string {
	all := make([]string, len(prefixes))
	for i, p := range prefixes {
		all[i] = p.String()
	}
	return strings.Join(all, " ")
}

// reopen gives n a new link in place of the old one. The readers of that end
// first.
func (l *loop) reopen(n *nic) error {
	was, old := n.opened(), n.link.Load()
	n.Close()
	if err := n.open(l.log); err != nil {
		return err
	}
	if is := n.opened(); is != was && old != nil {
		l.log.Info("interface changed, reopened", "event", "interface_reopened", "interface", n.name,
			"index", is.Index, "mac", is.MAC, "mtu", is.MTU, "mac_before", was.MAC)
	}
	if l.reading != nil {
		n.listen(l.reading, l.kick)
	}
	n.stale = true
	if old == nil {
		return n.repair() // what an earlier run left
	}
	if err := n.link.Load().AdoptGroups(old.Interface); err != nil {
		l.log.Debug("cannot join groups on a link that is new", "event", "group_failed", "interface", n.name, "err", err)
	}
	return nil
}

// lose notes that nothing can be done on the interface. Its machines stay as they
// are: that they cannot be heard says nothing about them.
func (l *loop) lose(n *nic, now time.Time, fault string) {
	n.restate = time.Time{}
	n.again = now.Add(lookAgain)
	was := n.trouble.Swap(&fault)
	switch {
	case was == nil:
		n.outSince = now
		l.log.Warn("interface unavailable, its machines cannot be monitored or woken", "event", "interface_out", "interface", n.name, "reason", n.fault(fault).Error())
	case *was != fault:
		l.log.Debug("interface still unavailable", "event", "interface_out", "interface", n.name, "reason", n.fault(fault).Error())
	}
}

// regain puts back what an interface that works may have lost.
func (l *loop) regain(n *nic, now time.Time, c lan.Course, moved bool) {
	var outage time.Duration
	wasOut := n.trouble.Swap(nil) != nil
	if wasOut {
		outage = now.Sub(n.outSince)
		l.log.Info("interface available again", "event", "interface_back", "interface", n.name, "after", round(outage))
		n.stale = true
	}
	if moved || wasOut {
		l.place()
	}
	if wasOut {
		l.deafened(n, now)
	}
	l.publish() // a client that hears of a claim may knock at once
	if c.Restore {
		l.restore(n)
	}
	if c.Announce {
		n.restate = now
		if outage >= longOutage {
			n.restate = now.Add(reprobeTimeout)
		}
	}
}

// deafened has the machines of an interface know that nothing was heard for a while.
func (l *loop) deafened(n *nic, now time.Time) {
	for _, e := range l.machines.sorted() {
		if e.nic == n {
			l.tell(e, machine.Deafened{Until: now.Add(switchPause)})
		}
	}
}

// tickNIC does what is due about the interface itself.
func (l *loop) tickNIC(now time.Time, n *nic) {
	if !n.again.IsZero() && !now.Before(n.again) {
		l.inspect(n, n.missed)
	}
	if !n.restate.IsZero() && !now.Before(n.restate) {
		l.announceAnew(now, n)
	}
}

// restore tells the kernel again what it forgets with a link or an address.
func (l *loop) restore(n *nic) {
	if err := n.link.Load().CheckGroups(); err != nil {
		l.log.Warn("a switch with MLD snooping may hide solicitations from us", "event", "group_failed", "interface", n.name, "err", err)
	}
	if l.kernel.bind && l.kernel.guard.Status().Active {
		l.kernel.checkBound(n)
	}
	if !n.local {
		return
	}
	pinned, err := lan.PinnedNeighbors(n.Index(), n.MAC())
	if err != nil {
		l.log.Debug("cannot read the neighbor table", "event", "pin_failed", "err", err)
	}
	for _, e := range l.machines.sorted() {
		if e.nic == n {
			l.kernel.pin(n, slices.DeleteFunc(e.Claimed(), func(ip netip.Addr) bool { return slices.Contains(pinned, ip) }))
		}
	}
}

// announceAnew announces what is claimed on n once more: switches and clients may
// have forgotten it, or know it with a MAC that we no longer have. Nothing is
// announced for machines that wake, for they may be testing their addresses; the
// clients of one that arrives are pinned by unicast.
func (l *loop) announceAnew(now time.Time, n *nic) {
	n.restate = time.Time{}
	claims := 0
	for _, e := range l.machines.sorted() {
		switch {
		case e.nic != n:
		case e.State() == machine.Arriving:
			l.pin(e)
		case e.State() == machine.Asleep:
			for _, ip := range e.Answered() {
				n.announcer.Announce(now, ip, n.MAC())
				claims++
			}
		}
	}
	l.log.Info("claims announced anew", "event", "announced", "interface", n.name, "addresses", claims)
}

// joinGroups joins the solicited-node groups of claimed addresses.
func (e *entry) joinGroups(log *slog.Logger, addrs []netip.Addr) {
	for _, ip := range addrs {
		link := e.nic.link.Load()
		if !ip.Is6() || slices.Contains(e.joined, ip) || link == nil {
			continue
		}
		if err := link.JoinSolicitedNode(ip); err != nil {
			log.Warn("cannot join the solicited-node group: a switch with MLD snooping may hide solicitations from us",
				"event", "group_failed", "machine", e, "ip", ip, "err", err)
			continue
		}
		e.joined = append(e.joined, ip)
	}
}

// leaveGroups leaves the solicited-node groups of addresses no longer claimed.
func (e *entry) leaveGroups(log *slog.Logger, addrs []netip.Addr) {
	e.joined = slices.DeleteFunc(e.joined, func(ip netip.Addr) bool {
		if !slices.Contains(addrs, ip) {
			return false
		}
		if err := e.nic.link.Load().LeaveSolicitedNode(ip); err != nil {
			log.Debug("cannot leave the solicited-node group", "event", "group_failed", "machine", e, "ip", ip, "err", err)
		}
		return true
	})
}
