package lan

import "slices"

// Outlook is what the kernel says of an interface and its network at one moment.
type Outlook struct {
	Status  Status // no index: there is no such interface
	Network Network
}

// Course is what a change asks for.
type Course struct {
	Fault     string // why there is no work to be done on the interface; empty: there is
	Reopen    bool   // the sockets belong to an interface that is no more as it was
	Readdress bool   // we have other addresses
	Restore   bool   // the kernel may have forgotten what it was told for us
	Announce  bool   // the LAN may have forgotten our claims
}

// Diff compares the interface as it is with what its sockets were opened with and
// what was acted upon last, and with the kernel's news of it.
func Diff(is Outlook, opened Status, known Network, news Change, wasOut bool) Course {
	c := Course{Fault: is.Fault()}
	if c.Fault != "" {
		return c
	}
	opened.Up, opened.Carrier = true, true // or there would be a fault
	c.Reopen = is.Status != opened
	c.Readdress = !slices.Equal(is.Network.Prefixes, known.Prefixes)
	c.Announce = wasOut || news.LinkLost || c.Reopen
	c.Restore = c.Announce || news.AddrLost || c.Readdress
	return c
}

// Fault returns why there is no work to be done on the interface, or nothing.
func (o Outlook) Fault() string {
	switch {
	case o.Status.Index == 0:
		return "is gone"
	case len(o.Network.Prefixes) == 0 && o.Status.Up && o.Status.Carrier:
		return "has no IP address"
	}
	return o.Status.Fault()
}

// Fault returns why no frame can be sent on an interface, or nothing.
func (s Status) Fault() string {
	switch {
	case !s.Up:
		return "is down"
	case !s.Carrier:
		return "has no carrier"
	}
	return ""
}
