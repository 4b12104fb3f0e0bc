package machine

import (
	"fmt"
	"net/netip"
	"time"
)

// Suppression is why a packet for a sleeping machine does not wake it.
type Suppression uint8

// The reasons.
const (
	TooFewKnocks      Suppression = iota // its source has not knocked often enough
	InQuietHours                         // no knock wakes at this time of day
	WhileCooling                         // it may be a late packet of a connection from before the machine's sleep
	AfterFailures                        // the machine did not wake several times, and knocks do not wake it for a while
	FromThisHost                         // a program of the porter's own host sent it
	PortNotRegistered                    // nothing is registered at its port
	SourceNotAllowed                     // its source may not wake the machine, or the service
	PingNotRegistered                    // it is an echo request, and icmp is not registered
	OldConnection                        // it opens no connection
)

// Suppressions lists every reason.
var Suppressions = [...]Suppression{
	TooFewKnocks, InQuietHours, WhileCooling, AfterFailures,
	FromThisHost, PortNotRegistered, SourceNotAllowed, PingNotRegistered, OldConnection,
}

var suppressionNames = [...]string{
	"min_knocks", "quiet_hours", "cooldown", "failed_wakes", "local", "port", "source", "ping", "established",
}

// String returns the reason as the metrics, the API and the events show it.
func (s Suppression) String() string {
	if int(s) >= len(suppressionNames) {
		return fmt.Sprintf("suppression(%d)", uint8(s))
	}
	return suppressionNames[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s Suppression) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Ignored counts packets for a sleeping machine that did not wake it: those of one
// reason for one port.
type Ignored struct {
	Reason  Suppression
	Service Service        // of the last packet; see Target
	Source  netip.AddrPort // of the last packet; port 0 if there is none
	First   time.Time
	Last    time.Time
	Count   uint64
}

// Target returns what the packets were for: a service, an address if the port is not
// known, or nothing if they were for several ports.
func (i *Ignored) Target() string {
	switch {
	case !i.Service.Addr.IsValid():
		return ""
	case i.Service.Protocol == 0:
		return i.Service.Addr.String()
	}
	return i.Service.String()
}

// WakeRules are the configured rules about which packets wake a machine, as the page
// and the API show them.
type WakeRules struct {
	From        []netip.Prefix // may wake at all; empty: every client
	Local       bool           // programs of the porter's own host wake
	LocalLater  bool           // Local is configured, and takes effect after a restart
	Bound       bool           // the kernel owns claimed addresses, so Local is impossible
	Established bool           // data on a connection wakes
	QuietHours  string         // as configured; empty: none
	Quiet       bool           // they are now
	MinKnocks   int            // of one source within KnockWindow
	KnockWindow time.Duration
	Cooldown    time.Duration
}
