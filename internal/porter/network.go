package porter

import (
	"context"
	"errors"
	"net/netip"
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
	// (IEEE 802.1D-2004 table 17-1: twice a Bridge Forward Delay of 15 s). Nobody
	// can be heard by then.
	switchPause = 30 * time.Second

	// answerTime is how long it has for that.
	answerTime = 300 * time.Millisecond
)

// outlook is what the kernel says of an interface and its network at one moment.
type outlook struct {
	status  lan.Status // no index: there is no such interface
	network lan.Network
}

// course is what a change asks for.
type course struct {
	fault    string // why there is no work to be done on the interface; empty: there is
	reopen   bool   // the sockets belong to an interface that is no more as it was
	readdr   bool   // we have other addresses
	restore  bool   // the kernel may have forgotten what we told it
	announce bool   // the LAN may have forgotten our claims
}

// steer compares the interface as it is with what its sockets were opened with
// and what was acted upon last, and with the kernel's news of it.
func steer(is outlook, opened lan.Status, known lan.Network, news lan.Change, wasOut bool) course {
	c := course{fault: is.fault()}
	opened.Up, opened.Carrier = true, true // or there would be a fault
	if c.fault != "" {
		return c
	}
	c.reopen = is.status != opened
	c.readdr = !slices.Equal(is.network.Prefixes, known.Prefixes)
	c.announce = wasOut || news.LinkLost || c.reopen
	c.restore = c.announce || news.AddrLost || c.readdr
	return c
}

func (o outlook) fault() string {
	switch {
	case o.status.Index == 0:
		return "is gone"
	case len(o.network.Prefixes) == 0 && o.status.Up && o.status.Carrier:
		return "has no IP address"
	}
	return faultOf(o.status)
}

// faultOf says why no frame can be sent on an interface, or nothing.
func faultOf(s lan.Status) string {
	switch {
	case !s.Up:
		return "is down"
	case !s.Carrier:
		return "has no carrier"
	}
	return ""
}

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
	p.drain() // who has spoken is not to be announced for
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
		case err := <-n.link.Load().failed:
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
	c := steer(is, opened, n.known, news, n.out() != nil)
	if c.reopen {
		if err := p.reopen(n); err != nil {
			c.fault = "cannot be opened: " + err.Error()
		}
	}
	if c.fault != "" {
		p.lose(n, now, c.fault)
		return
	}
	if c.readdr {
		p.readdress(n, is.network)
	}
	p.regain(n, now, c)
}

// observe asks the kernel. That there is no such interface is no error.
func (n *nic) observe() (outlook, error) {
	status, err := lan.ReadStatus(n.name)
	if errors.Is(err, lan.ErrNoInterface) {
		return outlook{}, nil
	}
	if err == nil {
		err = n.read(status.Index)
	}
	return outlook{status, *n.network.Load()}, err
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

// lose notes that nothing can be done on the interface. Its machines stay as
// they are: that nobody hears them says nothing about them.
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
func (p *Porter) regain(n *nic, now time.Time, c course) {
	var outage time.Duration
	if n.trouble.Swap(nil) != nil {
		outage = now.Sub(n.outSince)
		n.credible = now.Add(switchPause)
		p.log.Info("an interface works again", "interface", n.name, "after", round(outage))
		n.stale = true
	}
	if c.readdr {
		p.displace(n)
	}
	p.attend()
	p.publish() // whoever hears of a claim may knock at once
	if c.restore {
		p.restore(n)
	}
	if c.announce {
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
