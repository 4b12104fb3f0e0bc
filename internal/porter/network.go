package porter

import (
	"net/netip"
	"reflect"
	"strings"
	"time"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// linkKeeper is the part of the loop that follows the state of the interfaces.
type linkKeeper struct{ *loop }

const (
	// inspectPause is the pause between two inspections of an unavailable interface, in
	// case the kernel's notifications are not enough.
	inspectPause = time.Second

	// minUnnoticedStart is the shortest outage in which a machine may have started
	// unnoticed. After one, each machine is probed before its claim is announced again.
	minUnnoticedStart = time.Second

	// switchPause is how long a switch may block a port after its link came up (IEEE
	// 802.1D-2004 table 17-1: twice a Bridge Forward Delay of 15 s). No frame arrives
	// meanwhile.
	switchPause = 30 * time.Second

	// reprobeTimeout is how long a machine has to answer before its claim is
	// announced again.
	reprobeTimeout = 300 * time.Millisecond
)

// linksChanged handles the kernel's notifications.
func (l linkKeeper) linksChanged(c lan.Changes) {
	l.drain()        // a machine whose frame is queued must not be announced
	l.asides.close() // a name may belong to another interface now
	for _, n := range l.nics {
		// A removed interface comes back with another index.
		if news, told := c.To(n.Index()); told || n.unavailable() != nil {
			l.inspect(n, news)
		}
	}
	l.place()
}

// readersFailed handles readers that have ended with an error.
func (l linkKeeper) readersFailed() {
	for _, n := range l.nics {
		select {
		case err := <-n.failed:
			l.log.Debug("a reader has ended", "event", "reader_ended", "interface", n.name, "err", err)
			// Most often the interface was removed, and the kernel notifies of that too.
			// Otherwise the sockets are opened anew after inspectPause, so that a reader
			// that always fails does not keep the loop busy.
			n.setUnavailable(time.Now(), "cannot be read: "+err.Error())
			n.Close()
		default:
		}
	}
}

// inspect reads the state of an interface and acts on changes.
func (l linkKeeper) inspect(n *nic, news lan.Change) {
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
		l.log.Debug("cannot read the state of an interface", "event", "interface_unknown", "interface", n.name, "err", err)
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
		c.Fault = "does not exist (existing: " + lan.InterfaceNames() + "): nightporter waits for it; to use another one, change interfaces and restart"
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

// restoreNIC restores what an interface may have lost.
func (l linkKeeper) restoreNIC(n *nic, now time.Time, c lan.Update, moved bool) {
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
	l.publish() // a client that receives an announcement may knock at once
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

// noteMissedFrames tells the machines of an interface that frames may have been missed.
func (l linkKeeper) noteMissedFrames(n *nic, now time.Time) {
	for _, e := range l.machines.on(n) {
		l.dispatch(e, machine.ReceptionLost{Until: now.Add(switchPause)})
	}
}

// tickNIC runs the timers of an interface.
func (l linkKeeper) tickNIC(now time.Time, n *nic) {
	if !n.inspectAt.IsZero() && !now.Before(n.inspectAt) {
		l.inspect(n, n.pendingChange)
	}
	if !n.reannounceAt.IsZero() && !now.Before(n.reannounceAt) {
		n.announceAnew(now, l.machines.on(n))
	}
	n.learnRouters(now)
}

// announceAnew announces the claimed addresses of n again: switches and clients may have
// dropped their entries, or have an old MAC of ours. Addresses of waking machines are not
// announced, because the machine may be testing them. Clients of an arriving machine are
// pinned by unicast.
func (n *nic) announceAnew(now time.Time, machines []*entry) {
	n.reannounceAt = time.Time{}
	claims := 0
	for _, e := range machines {
		switch {
		case e.State() == machine.Arriving:
			pinner{e}.pin()
		case e.State() == machine.Asleep:
			for _, ip := range e.Answered() {
				n.announcer.Announce(now, ip, n.MAC())
				claims++
			}
		}
	}
	n.log.Info("claims announced again", "event", "announced", "addresses", claims)
}

// learnRouters updates the known MACs of the gateways, once in routersInterval.
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
