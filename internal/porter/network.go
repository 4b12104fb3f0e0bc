package porter

import (
	"net/netip"
	"reflect"
	"strings"
	"time"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

const (
	// lookAgain is when an interface that cannot be worked on is looked at, should
	// the kernel's news of it not be enough.
	inspectPause = time.Second

	// longOutage is what a machine takes at least to start unnoticed: after as
	// long each is asked before its claim is announced anew.
	minUnnoticedStart = time.Second

	// switchPause is how long a switch may keep a port to itself whose link came up
	// (IEEE 802.1D-2004 table 17-1: twice a Bridge Forward Delay of 15 s). Nothing
	// can be heard by then.
	switchPause = 30 * time.Second

	// reprobeTimeout is how long a machine has to answer before its claim is
	// announced again.
	reprobeTimeout = 300 * time.Millisecond
)

// changed takes the kernel's news.
func (l *loop) linksChanged(c lan.Changes) {
	l.drain()        // a machine that has spoken is not to be announced for
	l.asides.close() // one of them may be another now
	for _, n := range l.nics {
		// One that is not there comes back with another index.
		if news, told := c.To(n.Index()); told || n.unavailable() != nil {
			l.inspect(n, news)
		}
	}
	l.place()
}

// failed looks which readers have ended.
func (l *loop) readersFailed() {
	for _, n := range l.nics {
		select {
		case err := <-n.failed:
			l.log.Debug("a reader has ended", "event", "reader_ended", "interface", n.name, "err", err)
			// Most often because the interface is gone, which the kernel tells of
			// too. Otherwise the sockets are opened anew, after a pause: a reader
			// that fails again and again is not to keep us busy.
			n.setUnavailable(time.Now(), "cannot be read: "+err.Error())
			n.Close()
		default:
		}
	}
}

// inspect looks at an interface and does what its state asks for.
func (l *loop) inspect(n *nic, news lan.Change) {
	now := time.Now()
	news.LinkLost = news.LinkLost || n.pendingChange.LinkLost
	news.AddrLost = news.AddrLost || n.pendingChange.AddrLost
	n.inspectAt = time.Time{}
	if n.unnamed.Load() {
		if err := l.interfaces.reopen(n); err != nil {
			n.setUnavailable(now, openFault(err))
			return
		}
	}
	is, err := n.observe()
	if err != nil {
		l.log.Debug("cannot look at an interface", "event", "interface_unknown", "interface", n.name, "err", err)
		n.inspectAt, n.pendingChange = now.Add(inspectPause), news
		return
	}
	n.pendingChange = lan.Change{}
	c := lan.Diff(is, n.opened(), n.applied, news, n.unavailable() != nil)
	if c.Reopen {
		if err := l.interfaces.reopen(n); err != nil {
			c.Fault = "cannot be opened: " + err.Error()
		}
	}
	if is.Status.Index == 0 && n.link.Load() == nil {
		c.Fault = "is not there (there are: " + lan.InterfaceNames() + "): it is waited for; to watch another one, change interfaces and restart"
	}
	if c.Fault != "" {
		n.setUnavailable(now, c.Fault)
		return
	}
	if c.Readdress {
		l.log.Info("this host's addresses have changed", "event", "readdressed", "interface", n.name, "addresses", texts(is.Network.Prefixes))
	}
	n.viewStale = n.viewStale || c.Readdress // the filter knows our own addresses
	l.restoreNIC(n, now, c, !reflect.DeepEqual(n.applied, is.Network))
	n.applied = is.Network
	l.works()
}

func texts(prefixes []netip.Prefix) string {
	all := make([]string, len(prefixes))
	for i, p := range prefixes {
		all[i] = p.String()
	}
	return strings.Join(all, " ")
}

// regain puts back what an interface that works may have lost.
func (l *loop) restoreNIC(n *nic, now time.Time, c lan.Update, moved bool) {
	var outage time.Duration
	wasOut := n.fault.Swap(nil) != nil
	if wasOut {
		outage = now.Sub(n.outSince)
		l.log.Info("interface available again", "event", "interface_back", "interface", n.name, "after", round(outage))
		n.viewStale = true
	}
	if moved || wasOut {
		l.place()
	}
	if wasOut {
		l.noteMissedFrames(n, now)
	}
	l.publish() // a client that hears of a claim may knock at once
	if c.Restore {
		l.kernel.restore(n, l.machines.on(n))
	}
	if c.Announce {
		n.reannounceAt = now
		if outage >= minUnnoticedStart {
			n.reannounceAt = now.Add(reprobeTimeout)
		}
	}
}

// deafened has the machines of an interface know that nothing was heard for a while.
func (l *loop) noteMissedFrames(n *nic, now time.Time) {
	for _, e := range l.machines.on(n) {
		l.dispatch(e, machine.ReceptionLost{Until: now.Add(switchPause)})
	}
}

// tickNIC does what is due about the interface itself.
func (l *loop) tickNIC(now time.Time, n *nic) {
	if !n.inspectAt.IsZero() && !now.Before(n.inspectAt) {
		l.inspect(n, n.pendingChange)
	}
	if !n.reannounceAt.IsZero() && !now.Before(n.reannounceAt) {
		n.announceAnew(now, l.machines.on(n))
	}
	n.learnRouters(now)
}

// announceAnew announces what is claimed on n once more: switches and clients may
// have forgotten it, or know it with a MAC that we no longer have. Nothing is
// announced for machines that wake, for they may be testing their addresses; the
// clients of one that arrives are pinned by unicast.
func (n *nic) announceAnew(now time.Time, machines []*entry) {
	n.reannounceAt = time.Time{}
	claims := 0
	for _, e := range machines {
		switch {
		case e.State() == machine.Arriving:
			e.pin()
		case e.State() == machine.Asleep:
			for _, ip := range e.Answered() {
				n.announcer.Announce(now, ip, n.MAC())
				claims++
			}
		}
	}
	n.log.Info("claims announced anew", "event", "announced", "addresses", claims)
}

// learnRouters looks where the gateways are, once a minute.
func (n *nic) learnRouters(now time.Time) {
	if now.Before(n.routersAt) || n.unavailable() != nil {
		return
	}
	n.routersAt = now.Add(routersInterval)
	neighbors, err := lan.KnownNeighbors(n.Index())
	if err != nil {
		n.log.Debug("cannot read the neighbor table", "event", "neighbors_unknown", "err", err)
		return
	}
	n.routers.learn(now, n.network.Load().Gateways, neighbors, n.reader.NeighborMACs())
}
