package machine

import (
	"net/netip"
	"time"
)

// Ignored are packets for a sleeping machine that did not wake it: those of one
// reason for one port.
type Ignored struct {
	Reason  Suppression
	Service Service        // of the last packet; see Target
	Source  netip.AddrPort // of the last packet; port 0 if there is none
	First   time.Time
	Last    time.Time
	Count   uint64
}

// Target says what the packets were for: a service, an address where the port is not
// known, and nothing where they stand for several ports.
func (i *Ignored) Target() string {
	switch {
	case !i.Service.Addr.IsValid():
		return ""
	case i.Service.Protocol == 0:
		return i.Service.Addr.String()
	}
	return i.Service.String()
}

// WakeRules are what the operator decided about which packets wake a machine, as they
// are shown.
type WakeRules struct {
	From        []netip.Prefix // may wake at all; empty: every client
	Local       bool           // programs of the porter's own host wake
	LocalLater  bool           // Local is configured, and takes effect after a restart
	Bound       bool           // its kernel owns claimed addresses, so that Local is impossible
	Established bool           // data on a connection wakes
	QuietHours  string         // as configured; empty: none
	Quiet       bool           // they are now
	MinKnocks   int            // of one source within KnockWindow
	KnockWindow time.Duration
	Cooldown    time.Duration
}
