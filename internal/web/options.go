package web

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nightporter/internal/ratelimit"
)

// Options says what to serve, and where. Backend and Gatherer are required.
type Options struct {
	Backend  Backend
	Gatherer prometheus.Gatherer
	// Registerer is for the metrics of the metrics page itself. Optional.
	Registerer prometheus.Registerer
	Log        *slog.Logger // optional: nothing is logged
	Listen     []string     // addresses "host:port" or ":port"; none: Run only waits
	WebConfig  string       // exporter-toolkit's file for TLS and passwords; empty: neither
	Rate       int          // wakes and forgets a minute from one source, half of them at once; zero: any number
	Access     Access       // who may wake and forget
	// SourceOf returns whose share a client at an address uses. Optional: that of
	// the address, as ratelimit.SourceOf says.
	SourceOf func(netip.Addr) ratelimit.Source
	Version  string // shown on the page
	Look     Look   // what the configuration says of the page
	// Networks returns what is watched, for the page. Optional.
	Networks     func() []Network
	Registration []string // addresses where machines register, as in Listen
	Now          func() time.Time
}
