package porter

import (
	"context"
	"errors"
	"net/netip"
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
	// long each is probed before its claim is announced anew.
	longOutage = time.Second

	// answerTime is how long a machine has to answer that probe.
	answerTime = 300 * time.Millisecond

	// switchPause is how long a switch may keep a port to itself whose link came up
	// (IEEE 802.1D-2004 table 17-1: twice a Bridge Forward Delay of 15 s). No
	// machine can be heard by then.
	switchPause = 30 * time.Second
)

// follow takes the kernel's news to the loop until ctx ends.
func (p *Porter) follow(ctx context.Context) {
	p.watcher.Run(ctx, func(c lan.Changes) {
		select {
		case p.changes <- c:
		case <-ctx.Done():
		}
	})
}

// kick has the loop look at what is wrong with a link. It never blocks.
func (p *Porter) kick() {
	select {
	case p.kicks <- struct{}{}:
	default: // it is about to look
	}
}

// changed takes the kernel's news.
func (p *Porter) changed(c lan.Changes) {
	p.drain() // a machine that has spoken is not to be announced for
	for _, n := range p.nics {
		// One that is not there comes back with another index.
		if news, told := c.To(n.Index()); told || n.out() != nil {
			p.inspect(n, news)
		}
	}
}

// failed looks which readers have ended.
func (p *Porter) failed() {
	for _, n := range p.nics {
		select {
		case err := <-n.failed:
			p.log.Debug("a reader has ended", "interface", n.name, "err", err)
			// Most often because the interface is gone, which the kernel tells of
			// too. Otherwise the sockets are opened anew, after a pause: a reader
			// that fails again and again is not to keep us busy.
			p.lose(n, time.Now(), "cannot be read: "+err.Error())
			n.Close()
		default:
		}
	}
}

// inspect looks at an interface and does what its state asks for.
func (p *Porter) inspect(n *nic, news lan.Change) {
	now := time.Now()
	news.LinkLost = news.LinkLost || n.missed.LinkLost
	news.AddrLost = news.AddrLost || n.missed.AddrLost
	n.again = time.Time{}
	is, err := n.look()
	if err != nil {
		p.log.Debug("cannot look at an interface", "interface", n.name, "err", err)
		n.again, n.missed = now.Add(lookAgain), news
		return
	}
	n.missed = lan.Change{}
	opened := n.opened()
	if n.closed() {
		opened = lan.Status{}
	}
	c := lan.Diff(is, opened, n.known, news, n.out() != nil)
	if c.Reopen {
		if err := p.reopen(n); err != nil {
			c.Fault = "cannot be opened: " + err.Error()
		}
	}
	if c.Fault != "" {
		p.lose(n, now, c.Fault)
		return
	}
	if c.Readdress {
		p.readdress(n, is.Network)
	}
	p.regain(n, now, c)
}

// observe asks the kernel. That there is no such interface is no error.
func (n *nic) observe() (lan.Outlook, error) {
	status, err := lan.ReadStatus(n.name)
	if errors.Is(err, lan.ErrNoInterface) {
		return lan.Outlook{}, nil
	}
	if err == nil {
		err = n.read(status.Index)
	}
	return lan.Outlook{Status: status, Network: *n.network.Load()}, err
}

// reopen gives n a new link in place of the old one. The readers of that end
// first.
func (p *Porter) reopen(n *nic) error {
	was, old := n.opened(), n.link.Load()
	n.Close()
	if err := n.open(p.log); err != nil {
		return err
	}
	if is := n.opened(); is != was {
		p.log.Info("the interface is not as it was, and is opened anew", "interface", n.name,
			"index", is.Index, "mac", is.MAC, "mtu", is.MTU, "mac_before", was.MAC)
	}
	if p.reading != nil {
		n.listen(p.reading, p.kick)
	}
	n.stale = true
	if err := n.link.Load().AdoptGroups(old.Interface); err != nil {
		p.log.Debug("cannot join groups on a link that is new", "interface", n.name, "err", err)
	}
	return nil
}

// readdress takes over the addresses that our host has on the interface. What is
// ours now cannot be a machine's.
func (p *Porter) readdress(n *nic, is lan.Network) {
	p.log.Info("this host's addresses have changed", "interface", n.name, "addresses", texts(is.Prefixes))
	n.known = is
	n.stale = true // the filter knows our own addresses
	for _, r := range p.sorted() {
		if r.nic == nil {
			continue
		}
		spec := r.Spec()
		for _, ip := range spec.Addrs() {
			if is.Own(ip) {
				p.tell(r, machine.Conflicted{Addr: ip, By: n.MAC()})
			}
		}
	}
}

func texts(prefixes []netip.Prefix) string {
	all := make([]string, len(prefixes))
	for i, p := range prefixes {
		all[i] = p.String()
	}
	return strings.Join(all, " ")
}

// lose notes that nothing can be done on the interface. Its machines stay as they
// are: that they cannot be heard says nothing about them.
func (p *Porter) lose(n *nic, now time.Time, fault string) {
	n.restate = time.Time{}
	n.again = now.Add(lookAgain)
	was := n.trouble.Swap(&fault)
	switch {
	case was == nil:
		n.outSince = now
		p.log.Warn("an interface is out: its machines can neither be heard nor woken", "interface", n.name, "reason", n.says(fault).Error())
	case *was != fault:
		p.log.Debug("an interface is out still", "interface", n.name, "reason", n.says(fault).Error())
	}
}

// regain puts back what an interface that works may have lost.
func (p *Porter) regain(n *nic, now time.Time, c lan.Course) {
	var outage time.Duration
	if n.trouble.Swap(nil) != nil {
		outage = now.Sub(n.outSince)
		n.credible = now.Add(switchPause)
		p.log.Info("an interface works again", "interface", n.name, "after", round(outage))
		n.stale = true
	}
	if c.Readdress {
		p.displace(n)
	}
	p.placeAgentless()
	p.publish() // a client that hears of a claim may knock at once
	if c.Restore {
		p.restore(n)
	}
	if c.Announce {
		n.restate = now
		if outage >= longOutage {
			p.askFirst(n)
			n.restate = now.Add(answerTime)
		}
	}
}

// attendNIC does what is due about the interface itself.
func (p *Porter) attendNIC(now time.Time, n *nic) {
	if !n.again.IsZero() && !now.Before(n.again) {
		p.inspect(n, n.missed)
	}
	if !n.restate.IsZero() && !now.Before(n.restate) {
		p.restateClaims(now, n)
	}
}
