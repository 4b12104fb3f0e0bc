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

// DefaultPath is the file that is read when no other is named. It may be
// missing.
const DefaultPath = "/etc/nightporter/config.yaml"

// DefaultEnvironment is the file from which systemd takes the daemon's environment.
const DefaultEnvironment = "/etc/nightporter/environment"

// Log formats.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// Who may register what (registration.trust).
const (
	TrustSelf      = "self"      // a machine registers itself only
	TrustAllowlist = "allowlist" // the MACs of registration.allow, from anywhere
	TrustOpen      = "open"      // anyone, anything
)

// How addresses are claimed (claim.mode).
const (
	ModeResponder = "responder" // answer ARP and NDP ourselves
	ModeBind      = "bind"      // let the kernel own the address; takes the guard
)

// Whether the kernel is kept silent about claimed addresses (claim.guard).
const (
	GuardAuto = guard.ModeAuto // where it is possible
	GuardOn   = guard.ModeOn   // always, or the porter does not start
	GuardOff  = guard.ModeOff
)

// How a magic packet travels (wake.transports).
const (
	TransportEthernet = "ethernet" // EtherType 0x0842
	TransportUDP      = "udp"      // a UDP broadcast to port 9
)

// Which sleeping machines are woken when the porter stops (wake.on_exit).
const (
	OnExitNone = "none"
	OnExitAll  = "all"
)

// Config is a checked configuration: every value is within its bounds and fits
// the others. An empty list is nil. Do not change one that is in use.
type Config struct {
	Interfaces   []string // names; empty: the interface of the default route
	StateDir     string   // absolute path
	User         string   // whom a porter that was started as root becomes; empty: nobody else
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
	Pages        map[ether.MAC]MachinePage // of those machines that have something of their own on the status page
}

// Log says how to log.
type Log struct {
	Level  slog.Level
	Format string // FormatText or FormatJSON
}

// Registration says who may register machines, and how many.
type Registration struct {
	Listen         []string      // "host:port" or ":port"; empty: no registration
	Trust          string        // TrustSelf, TrustAllowlist or TrustOpen
	Token          string        // a secret; empty: none asked for
	Allow          []ether.MAC   // not empty under TrustAllowlist
	Timeout        time.Duration // for one client to send its request
	MaxConnections int           // served at once
	MaxMachines    int
	Rate           int // registrations a minute from one source; 0: any number
}

// HTTP says where metrics, API and status page are served.
type HTTP struct {
	Listen    []string          // "host:port" or ":port"; empty: no HTTP
	WebConfig string            // path of an exporter-toolkit web configuration; empty: plain HTTP
	Rate      int               // wakes and forgets a minute from one source; 0: any number
	Token     string            // a secret that wakes and forgets must carry; empty: none asked for
	Hosts     []string          // names by which a browser's pages may wake and forget, beside local ones
	Links     map[string]string // URLs that the status page leads to, by name
}

// Probe says how to find out that a machine is off.
type Probe struct {
	Interval time.Duration // between two probes
	Misses   int           // unanswered probes in a row that mean "off"
	Timeout  time.Duration // after which a machine that speaks on is taken for awake
}

// Watch says how to find out that a machine is off that said nothing.
type Watch struct {
	Interval time.Duration // between two questions to a machine that is awake; 0: none
}

// Claim says how a sleeping machine's addresses are claimed.
type Claim struct {
	Mode  string // ModeResponder or ModeBind
	Guard string // GuardAuto, GuardOn or GuardOff; not GuardOff under ModeBind

	OverrideOffload bool // claim a machine also where its network card answers while it sleeps
}

// Wake says how machines are woken, and by whom.
type Wake struct {
	Attempts    int            // rounds of magic packets
	Interval    time.Duration  // between two rounds
	Timeout     time.Duration  // how long a wake goes on that was asked for or whose client tries, and the wait for a service while one tries
	Keep        bool           // keep a machine whose wake failed
	Transports  []string       // TransportEthernet, TransportUDP; not empty
	OnExit      string         // OnExitNone or OnExitAll
	From        []netip.Prefix // sources whose packets may wake; empty: everyone
	Local       bool           // this host's own packets may wake; not under ModeBind
	Established bool           // data on an established TCP connection wakes
	Holdoff     time.Duration  // after a claim, before a knock's first magic packet
	MinKnocks   int            // of one source within KnockWindow that wake
	KnockWindow time.Duration
	QuietHours  wakefilter.Hours // when no knock wakes
	Cooldown    time.Duration    // after a claim, when only a new TCP connection wakes
}

// Hold says what is kept for a machine until it can take it.
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
