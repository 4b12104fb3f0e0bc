package config

import (
	"log/slog"
	"net/netip"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/guard"
	"nightporter/internal/machine"
	"nightporter/internal/notifyconf"
	"nightporter/internal/wakefilter"
)

// DefaultPath is the configuration file if no other is given. It may be missing.
const DefaultPath = "/etc/nightporter/config.yaml"

// DefaultEnvironment is the file from which systemd takes the daemon's environment.
const DefaultEnvironment = "/etc/nightporter/environment"

// Log formats.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// Values of registration.trust.
const (
	TrustSelf      = "self"      // a machine registers itself only
	TrustAllowlist = "allowlist" // the MACs of registration.allow, from any host
	TrustOpen      = "open"      // any machine, from any host
)

// Values of claim.mode.
const (
	ModeResponder = "responder" // the daemon answers ARP and NDP
	ModeBind      = "bind"      // the kernel owns the address; needs the guard
)

// Values of claim.guard.
const (
	GuardAuto = guard.ModeAuto // if the kernel can
	GuardOn   = guard.ModeOn   // required, or the daemon does not start
	GuardOff  = guard.ModeOff
)

// Values of wake.transports.
const (
	TransportEthernet = "ethernet" // EtherType 0x0842
	TransportUDP      = "udp"      // a UDP broadcast to port 9
)

// Values of wake.on_exit.
const (
	OnExitNone = "none"
	OnExitAll  = "all"
)

// Config is a valid configuration: every value is within its bounds and fits the others. An empty
// list is nil. A Config in use is not changed.
type Config struct {
	Interfaces   []string // names; empty: the interface of the default route
	StateDir     string   // absolute path
	User         string   // the user to switch to when started as root; empty: the default
	Log          Log
	Registration Registration
	HTTP         HTTP
	Probe        Probe
	Watch        Watch
	Claim        Claim
	Wake         Wake
	Hold         Hold
	Energy       Energy
	Notify       notifyconf.Settings
	Machines     []machine.Spec            // names, MACs and IPs are unique; watts are filled in from Energy
	Pages        map[ether.MAC]MachinePage // by machine, if it has settings for the status page
}

// Log has the settings of the log.
type Log struct {
	Level  slog.Level
	Format string // FormatText or FormatJSON
}

// Registration has the settings of the registration server.
type Registration struct {
	Listen         []string      // "host:port" or ":port"; empty: no registration
	Trust          string        // TrustSelf, TrustAllowlist or TrustOpen
	Token          string        // a secret; empty: none required
	Allow          []ether.MAC   // not empty under TrustAllowlist
	Timeout        time.Duration // for one client to send its request
	MaxConnections int           // at the same time
	MaxMachines    int
	Rate           int // registrations a minute from one source; 0: any number
}

// HTTP has the settings of metrics, API and status page.
type HTTP struct {
	Listen    []string          // "host:port" or ":port"; empty: no HTTP
	WebConfig string            // path of an exporter-toolkit web configuration; empty: plain HTTP
	Rate      int               // wakes and forgets a minute from one source; 0: any number
	Token     string            // a secret that requests to wake or forget must carry; empty: none required
	Hosts     []string          // DNS names from which browsers may wake and forget, beside local ones
	Links     map[string]string // links of the status page, by name
}

// Probe has the settings of probes of a machine that falls asleep.
type Probe struct {
	Interval time.Duration // between two probes
	Misses   int           // unanswered probes in a row that mean "off"
	Timeout  time.Duration // after which a machine that still answers counts as awake
}

// Watch has the settings of probes of awake machines.
type Watch struct {
	Interval time.Duration // between two probes of an awake machine; 0: none
}

// Claim has the settings of claims.
type Claim struct {
	Mode  string // ModeResponder or ModeBind
	Guard string // GuardAuto, GuardOn or GuardOff; not GuardOff under ModeBind

	OverrideOffload bool // claim a machine although its network card answers while it sleeps
}

// Wake has the settings of wakes.
type Wake struct {
	Attempts    int            // rounds of magic packets
	Interval    time.Duration  // between two rounds
	Timeout     time.Duration  // of a wake that was requested or whose client still tries, and of the wait for a service
	Keep        bool           // a machine whose wake failed stays known
	Transports  []string       // TransportEthernet, TransportUDP; not empty
	OnExit      string         // OnExitNone or OnExitAll
	From        []netip.Prefix // sources whose packets may wake; empty: all
	Local       bool           // this host's own packets may wake; not under ModeBind
	Established bool           // data on an established TCP connection wakes
	Holdoff     time.Duration  // after a claim, before a knock's first magic packet
	MinKnocks   int            // of one source within KnockWindow that wake
	KnockWindow time.Duration
	QuietHours  wakefilter.Hours // when no knock wakes
	Cooldown    time.Duration    // after a claim, when only a new TCP connection wakes
}

// Hold has the settings of held packets.
type Hold struct {
	Packets      int           // per machine
	ReadyTimeout time.Duration // for a knocked service to answer, once no client tries any more
}

// Energy holds the watts of machines that do not state their own, and what energy costs.
type Energy struct {
	IdleWatts  float64 // awake and idle
	SleepWatts float64 // asleep; at most IdleWatts
	Price      Price
}
