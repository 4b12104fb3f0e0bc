package config

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/wakefilter"
)

// key is one line of the table of keys.
type key struct {
	path    string
	help    string // one line, starts with a small letter
	def     any    // the default, as a file would hold it
	noun    string // what the help of a flag calls a value; empty: not a flag, nor a variable
	restart bool   // a change takes effect only after a restart
	secrecy secrecy
	members map[string]secrecy // of the entries of a list: those that are secrets
	unseen  bool               // not for the command line, which everyone on the host can see
	text    func(string) any
	set     func(c *Config, p place, raw any) // reads, checks and stores a value
	get     func(c *Config) any               // as a file would hold it, secrets included
	hide    func(any) any                     // masks the secrets in what get returned; nil: there are none
}

// envPrefix begins the name of every environment variable.
const envPrefix = "NIGHTPORTER_"

func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "__"))
}

// field makes the key whose value is kept at one field of Config.
func field[T any](path string, def any, at func(*Config) *T, c codec[T], help string) key {
	return key{
		path: path, help: help, def: def, noun: c.noun, text: c.text,
		set: func(conf *Config, p place, raw any) {
			if v, ok := c.read(p, raw); ok {
				*at(conf) = v
			}
		},
		get: func(conf *Config) any { return c.show(*at(conf)) },
	}
}

func (k key) needsRestart() key {
	k.restart = true
	return k
}

func (k key) masked() key {
	k.secrecy = free
	k.hide = func(v any) any {
		if v == "" {
			return v
		}
		return mask
	}
	return k
}

// notSeen refuses a value on the command line, where everyone could see it.
func (k key) notSeen() key {
	k.unseen = true
	return k
}

// Bounds of durations. The lower one keeps a slip (1ms for 1m) from flooding
// the network; the upper ones are beyond any use.
const (
	shortest = 10 * time.Millisecond
	hour     = time.Hour
	day      = 24 * time.Hour
)

// maxRate, in events a minute, is a thousand a second: more is no limit.
const maxRate = 60_000

// keys returns the table, in the order in which the configuration is printed.
func keys() []key {
	return slices.Concat(generalKeys(), doorKeys(), sleepKeys(), notifyKeys(), []key{machinesKey()})
}

func generalKeys() []key {
	return []key{
		field("interfaces", []any{}, func(c *Config) *[]string { return &c.Interfaces }, listOf(interfaceName()),
			"network interfaces to watch; empty: the interface of the default route").needsRestart(),
		field("state_dir", "/var/lib/nightporter", func(c *Config) *string { return &c.StateDir }, absolutePath(),
			"directory for what has to outlive a restart: machines, their counters, and the last events").needsRestart(),
		field("user", "", func(c *Config) *string { return &c.User }, userName(),
			"user that the daemon becomes when it is started as root; state_dir has to belong to it; empty, as the systemd unit needs it: the user nightporter if the host has it, else uid 65521; root: it stays root; it keeps CAP_NET_RAW and CAP_NET_ADMIN at most in any case").needsRestart(),
		field("log.level", "info", func(c *Config) *slog.Level { return &c.Log.Level }, level(),
			"least level that is logged: debug, info, warn or error"),
		field("log.format", FormatText, func(c *Config) *string { return &c.Log.Format }, oneOf(FormatText, FormatJSON),
			"text for people, json for log collectors").needsRestart(),
	}
}

// doorKeys are about who comes in: registration and HTTP.
func doorKeys() []key {
	return []key{
		field("registration.listen", []any{":13717"}, func(c *Config) *[]string { return &c.Registration.Listen }, listOf(listenAddress()),
			"addresses where machines register before they sleep; empty: no registration").needsRestart(),
		field("registration.trust", TrustSelf, func(c *Config) *string { return &c.Registration.Trust },
			oneOf(TrustSelf, TrustAllowlist, TrustOpen),
			"self: a machine registers only itself; allowlist: the MACs in allow, from anywhere; open: anyone"),
		field("registration.token", "", func(c *Config) *string { return &c.Registration.Token }, token(0),
			"secret that every registration must carry; empty: none; not for the command line, which everyone on the host can see").masked(),
		field("registration.allow", []any{}, func(c *Config) *[]ether.MAC { return &c.Registration.Allow }, listOf(mac()),
			"MAC addresses that may be registered under trust: allowlist"),
		field("registration.timeout", "5s", func(c *Config) *time.Duration { return &c.Registration.Timeout }, duration(shortest, hour),
			"time for a client to send its request, so that slow ones hold no place"),
		field("registration.max_connections", 64, func(c *Config) *int { return &c.Registration.MaxConnections }, wholeNumber(1, 65536),
			"clients served at once, of which one source may be a quarter, and an eighth are kept for machines that are known; more are turned away"),
		field("registration.max_machines", 1024, func(c *Config) *int { return &c.Registration.MaxMachines }, wholeNumber(1, 65536),
			"machines known at once, so that nobody fills the memory or the metrics"),
		field("registration.rate", 6000, func(c *Config) *int { return &c.Registration.Rate }, wholeNumber(0, maxRate),
			"registrations a minute from one source, which is a host on the link, or behind a router an IPv4 address or an IPv6 network of 64 bits; half of them may come at once; 0: any number"),
		field("http.listen", []any{":9717"}, func(c *Config) *[]string { return &c.HTTP.Listen }, listOf(listenAddress()),
			"addresses of metrics, API and status page; empty: no HTTP").needsRestart(),
		field("http.web_config", "", func(c *Config) *string { return &c.HTTP.WebConfig }, optionalFile(),
			"exporter-toolkit web configuration for TLS and passwords; empty: plain HTTP for everyone").needsRestart(),
		field("http.rate", 600, func(c *Config) *int { return &c.HTTP.Rate }, wholeNumber(0, maxRate),
			"wakes, pauses and forgets a minute from one source, as for registration.rate; 0: any number, for a reverse proxy that rations them itself"),
		field("http.token", "", func(c *Config) *string { return &c.HTTP.Token }, token(minToken),
			"secret of at least 8 bytes that wakes and forgets must carry; empty: anyone who reaches the address may; not a flag, since everyone on the host can see the command line").masked().notSeen(),
		field("http.hosts", []any{}, func(c *Config) *[]string { return &c.HTTP.Hosts }, listOf(hostName()),
			"names of this host in the DNS, such as porter.example.org, under which a browser's page may wake and forget; addresses, local names and its own are known; needless with a token or TLS"),
		field("http.links", map[string]any{}, func(c *Config) *map[string]string { return &c.HTTP.Links }, links(),
			"pages that the status page leads to, by name, such as {grafana: http://192.168.1.2:3000/}; under the name grafana each machine leads to its dashboard as well"),
	}
}

// sleepKeys are about the machines' nights: falling asleep, being claimed,
// being woken.
func sleepKeys() []key {
	return []key{
		field("probe.interval", "1s", func(c *Config) *time.Duration { return &c.Probe.Interval }, duration(shortest, hour),
			"time between two probes of a machine that is falling asleep"),
		field("probe.misses", 3, func(c *Config) *int { return &c.Probe.Misses }, wholeNumber(1, 100),
			"probes in a row without an answer that mean it is off, after 3 s without one at least; twice as many for a machine that did not say that it would sleep"),
		field("probe.timeout", "10m", func(c *Config) *time.Duration { return &c.Probe.Timeout }, duration(shortest, day),
			"how long a machine that said that it will sleep may go on answering; after that it counts as awake"),
		field("watch.interval", "10s", func(c *Config) *time.Duration { return &c.Watch.Interval }, durationOrNone(shortest, hour),
			"time between two questions to a machine that is awake; 0: none but agentless ones, others are looked after only until probe.timeout after they registered"),
		field("claim.mode", ModeResponder, func(c *Config) *string { return &c.Claim.Mode }, oneOf(ModeResponder, ModeBind),
			"responder: the daemon answers ARP and NDP for claimed addresses; bind: the kernel owns them and answers, which few networks need; bind needs claim.guard").needsRestart(),
		field("claim.guard", GuardAuto, func(c *Config) *string { return &c.Claim.Guard }, oneOf(GuardAuto, GuardOn, GuardOff),
			"nftables rules that keep this host's kernel from answering connections to claimed addresses; auto: set them where the kernel has nftables; on: do not start without them; off: never").needsRestart(),
		field("claim.override_offload", false, func(c *Config) *bool { return &c.Claim.OverrideOffload }, boolean(),
			"true: claim a machine although its network card answers ARP and NDP while it sleeps (ARP offload); while it is up it has to answer pings, or TCP at its services; false: it counts as awake, and the log says what to do"),
		field("wake.attempts", 6, func(c *Config) *int { return &c.Wake.Attempts }, wholeNumber(1, 100),
			"rounds of magic packets before a wake counts as failed, unless it was asked for or a client still tries"),
		field("wake.interval", "15s", func(c *Config) *time.Duration { return &c.Wake.Interval }, duration(shortest, hour),
			"time between two rounds; the first round is repeated each second, since many cards are deaf at first"),
		field("wake.timeout", "5m", func(c *Config) *time.Duration { return &c.Wake.Timeout }, duration(shortest, day),
			"how long a wake goes on that was asked for, or while a client still tries to connect, and then the wait for a service; a machine that took longer before has half as long again in any case"),
		field("wake.keep", true, func(c *Config) *bool { return &c.Wake.Keep }, boolean(),
			"true: a machine that did not wake stays known, and the next packet tries again; false: it is forgotten until it registers"),
		field("wake.transports", []any{TransportEthernet, TransportUDP}, func(c *Config) *[]string { return &c.Wake.Transports },
			notEmpty(listOf(transport()), "at least one of ethernet and udp"),
			"how magic packets travel: some cards heed only one of ethernet (0x0842) and udp (port 9)"),
		field("wake.on_exit", OnExitNone, func(c *Config) *string { return &c.Wake.OnExit }, oneOf(OnExitNone, OnExitAll),
			"all: wake every sleeping machine when the porter stops, since nobody answers for them then; none: let them sleep"),
		field("wake.from", []any{}, func(c *Config) *[]netip.Prefix { return &c.Wake.From }, listOf(network()),
			"networks or addresses whose packets may wake; empty: everyone"),
		field("wake.local", false, func(c *Config) *bool { return &c.Wake.Local }, boolean(),
			"true: connections of this host's own programs wake as well; false: they do not, or monitoring here would keep machines awake; not with claim.mode: bind").needsRestart(),
		field("wake.established", false, func(c *Config) *bool { return &c.Wake.Established }, boolean(),
			"true: data on an established TCP connection to a registered service wakes as well, for machines that suspend to RAM and keep their connections"),
		field("wake.holdoff", "0s", func(c *Config) *time.Duration { return &c.Wake.Holdoff }, duration(0, hour),
			"rest after the claim before the first magic packet, for boards that misbehave when woken at once"),
		field("wake.min_knocks", 1, func(c *Config) *int { return &c.Wake.MinKnocks }, wholeNumber(1, 10),
			"knocks of one source at a machine within knock_window that wake it; 2 or more: a stray scan does not; a client that connects repeats its SYN after 1, 2 or 3 s and later"),
		field("wake.knock_window", "10s", func(c *Config) *time.Duration { return &c.Wake.KnockWindow }, duration(time.Second, 5*time.Minute),
			"time in which min_knocks have to come"),
		field("wake.quiet_hours", "", func(c *Config) *wakefilter.Hours { return &c.Wake.QuietHours }, hours(),
			"local times of the day when no knock wakes, such as 23:00-07:00, several separated by commas; a wake that is asked for does; empty: never"),
		field("wake.cooldown", "0s", func(c *Config) *time.Duration { return &c.Wake.Cooldown }, duration(0, hour),
			"time after the claim in which datagrams, pings and data of old connections do not wake, only a new TCP connection does"),
		field("hold.packets", 64, func(c *Config) *int { return &c.Hold.Packets }, wholeNumber(1, 1024),
			"packets kept per machine until it can take them; beyond that the oldest datagram gives way"),
		field("hold.ready_timeout", "60s", func(c *Config) *time.Duration { return &c.Hold.ReadyTimeout }, duration(shortest, hour),
			"time for a knocked service to open before its client is handed over all the same, unless it still tries (wake.timeout)"),
		field("energy.idle_watts", 50, func(c *Config) *float64 { return &c.Energy.IdleWatts }, watts(),
			"watts of an idle machine that states none, to estimate what its sleep saves"),
		field("energy.sleep_watts", 2, func(c *Config) *float64 { return &c.Energy.SleepWatts }, watts(),
			"watts of a sleeping machine that states none"),
		field("energy.price", "", func(c *Config) *Price { return &c.Energy.Price }, price(),
			"price of a kWh with its currency, such as 0.30 EUR, to show what was saved; empty: not shown"),
	}
}
