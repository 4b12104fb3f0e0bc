package lan

import "slices"

// Observation is the state of an interface and its network at one moment, as the kernel
// reports it.
type Observation struct {
	Status  Status // no index: there is no such interface
	Network Network
}

// Update is the set of acts that a change of the interface requires.
type Update struct {
	Fault     string // why the interface is unusable; empty: it is usable
	Reopen    bool   // open new sockets: the interface is another
	Readdress bool   // the own addresses have changed
	Restore   bool   // configure the kernel again: it may have lost addresses and neighbors
	Announce  bool   // announce the claims again: the LAN may have lost them
}

// Diff compares the present state of the interface with the status at the opening of its
// sockets, with the network of the last comparison, and with the change that the kernel
// reported.
func Diff(is Observation, opened Status, known Network, news Change, wasOut bool) Update {
	c := Update{Fault: is.Fault()}
	if c.Fault != "" {
		return c
	}
	opened.Up, opened.Carrier = true, true // otherwise c has a fault
	c.Reopen = is.Status != opened
	c.Readdress = !slices.Equal(is.Network.Prefixes, known.Prefixes)
	c.Announce = wasOut || news.LinkLost || c.Reopen
	c.Restore = c.Announce || news.AddrLost || c.Readdress
	return c
}

// Fault returns why the interface is unusable, or an empty string.
func (o Observation) Fault() string {
	switch {
	case o.Status.Index == 0:
		return "is gone"
	case len(o.Network.Prefixes) == 0 && o.Status.Up && o.Status.Carrier:
		return "has no IP address"
	}
	return o.Status.Fault()
}

// Fault returns why no frame can be sent on the interface, or an empty string.
func (s Status) Fault() string {
	switch {
	case !s.Up:
		return "is down"
	case !s.Carrier:
		return "has no carrier"
	}
	return ""
}
