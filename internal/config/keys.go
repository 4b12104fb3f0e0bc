package config

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/wakefilter"
)

// Bounds of durations. With the lower one a typing error (1ms for 1m) does not flood the network.
const (
	shortest = 10 * time.Millisecond
	hour     = time.Hour
	day      = 24 * time.Hour
)

// maxRate is in events a minute: 1000 a second.
const maxRate = 60_000

// keys returns the table, in the order in which the configuration is printed.
func keys() []key {
	return slices.Concat(generalKeys(), serverKeys(), sleepKeys(), notifyKeys(), []key{machinesKey()})
}

func generalKeys() []key {
	return []key{
		field("interfaces", []any{}, func(c *Config) *[]string { return &c.Interfaces }, listOf(interfaceName()),
			"network interfaces to watch. Empty: the interface of the default route").needsRestart(),
		field("state_dir", "/var/lib/nightporter", func(c *Config) *string { return &c.StateDir }, absolutePath(),
			"directory for data that is kept over a restart: machines, their counters, the last events").needsRestart(),
		field("user", "", func(c *Config) *string { return &c.User }, userName(),
			"user to switch to when started as root. It must own state_dir. Empty, as the systemd unit needs it: the user nightporter if it exists, else uid 65521. root: do not switch. Only CAP_NET_RAW and CAP_NET_ADMIN are kept in any case").needsRestart(),
		field("log.level", "info", func(c *Config) *slog.Level { return &c.Log.Level }, level(),
			"lowest level to log: debug, info, warn or error"),
		field("log.format", FormatText, func(c *Config) *string { return &c.Log.Format }, oneOf(FormatText, FormatJSON),
			"text to read, or json for log collectors").needsRestart(),
	}
}

// serverKeys are for registration and HTTP.
func serverKeys() []key {
	return []key{
		field("registration.listen", []any{":13717"}, func(c *Config) *[]string { return &c.Registration.Listen }, listOf(listenAddress()),
			"addresses for registrations. Empty: no registration").needsRestart(),
		field("registration.trust", TrustSelf, func(c *Config) *string { return &c.Registration.Trust },
			oneOf(TrustSelf, TrustAllowlist, TrustOpen),
			"who may register. self: a machine registers only itself. allowlist: the MAC addresses in allow, from any host. open: any machine, from any host"),
		field("registration.token", "", func(c *Config) *string { return &c.Registration.Token }, token(0),
			"secret that every registration must carry. Empty: none. Not for the command line, which all users of the host can see").isSecret(),
		field("registration.allow", []any{}, func(c *Config) *[]ether.MAC { return &c.Registration.Allow }, listOf(mac()),
			"MAC addresses that may be registered with trust: allowlist"),
		field("registration.timeout", "5s", func(c *Config) *time.Duration { return &c.Registration.Timeout }, duration(shortest, hour),
			"time for a client to send its request"),
		field("registration.max_connections", 64, func(c *Config) *int { return &c.Registration.MaxConnections }, wholeNumber(1, 65536),
			"connections at the same time. One source may use a quarter of them. An eighth is reserved for known machines. Further connections are refused"),
		field("registration.max_machines", 1024, func(c *Config) *int { return &c.Registration.MaxMachines }, wholeNumber(1, 65536),
			"known machines. It bounds the memory and the metrics"),
		field("registration.rate", 6000, func(c *Config) *int { return &c.Registration.Rate }, wholeNumber(0, maxRate),
			"registrations a minute from one source, half of them at once. A source is a host on the link, or behind a router an IPv4 address or an IPv6 network of 64 bits. 0: no limit"),
		field("http.listen", []any{":9717"}, func(c *Config) *[]string { return &c.HTTP.Listen }, listOf(listenAddress()),
			"addresses for metrics, API and status page. Empty: no HTTP").needsRestart(),
		field("http.web_config", "", func(c *Config) *string { return &c.HTTP.WebConfig }, optionalFile(),
			"exporter-toolkit web configuration with TLS and passwords. Empty: plain HTTP without a password").needsRestart(),
		field("http.rate", 600, func(c *Config) *int { return &c.HTTP.Rate }, wholeNumber(0, maxRate),
			"requests to wake, pause or forget a machine, a minute from one source, as in registration.rate. 0: no limit, for a reverse proxy that limits them itself"),
		field("http.token", "", func(c *Config) *string { return &c.HTTP.Token }, token(minToken),
			"secret of at least 8 bytes that requests to wake or forget must carry. Empty: every client that reaches the address may. Not for the command line, which all users of the host can see").isSecret().fileOrEnvironment(),
		field("http.hosts", []any{}, func(c *Config) *[]string { return &c.HTTP.Hosts }, listOf(hostName()),
			"DNS names from which browsers may wake or forget machines, such as porter.example.org. IP addresses, local names and the name of this host are always allowed. Not needed with http.token or TLS"),
		field("http.links", map[string]any{}, func(c *Config) *map[string]string { return &c.HTTP.Links }, links(),
			"links on the status page, by name, such as {grafana: http://192.168.1.2:3000/}. With the name grafana each machine links to its dashboard as well"),
	}
}

// sleepKeys are for machines that fall asleep, are claimed and are woken.
func sleepKeys() []key {
	return []key{
		field("probe.interval", "1s", func(c *Config) *time.Duration { return &c.Probe.Interval }, duration(shortest, hour),
			"time between two probes of a machine that is falling asleep"),
		field("probe.misses", 3, func(c *Config) *int { return &c.Probe.Misses }, wholeNumber(1, 100),
			"unanswered probes in a row after which the machine is off, at the earliest after 3 s. Twice as many for a machine that did not announce its sleep"),
		field("probe.timeout", "10m", func(c *Config) *time.Duration { return &c.Probe.Timeout }, duration(shortest, day),
			"how long a machine may still answer after it announced its sleep. After that it counts as awake"),
		field("watch.interval", "10s", func(c *Config) *time.Duration { return &c.Watch.Interval }, durationOrNone(shortest, hour),
			"time between two probes of an awake machine. 0: only agentless machines are probed, others only until probe.timeout after their registration"),
		field("claim.mode", ModeResponder, func(c *Config) *string { return &c.Claim.Mode }, oneOf(ModeResponder, ModeBind),
			"responder: the daemon answers ARP and NDP for claimed addresses. bind: the addresses are added to the interface and the kernel answers, which few networks need. bind needs claim.guard").needsRestart(),
		field("claim.guard", GuardAuto, func(c *Config) *string { return &c.Claim.Guard }, oneOf(GuardAuto, GuardOn, GuardOff),
			"nftables rules that keep the kernel of this host from answering connections to claimed addresses. auto: set them if the kernel has nftables. on: do not start without them. off: never").needsRestart(),
		field("claim.override_offload", false, func(c *Config) *bool { return &c.Claim.OverrideOffload }, boolean(),
			"true: claim a machine although its network card answers ARP and NDP while it sleeps (ARP offload). It must answer pings, or TCP at its services, while it is up. false: such a machine counts as awake, and the log says what to do"),
		field("wake.attempts", 6, func(c *Config) *int { return &c.Wake.Attempts }, wholeNumber(1, 100),
			"rounds of magic packets before a wake fails, unless it was requested or a client still tries to connect"),
		field("wake.interval", "15s", func(c *Config) *time.Duration { return &c.Wake.Interval }, duration(shortest, hour),
			"time between two rounds. The first round is repeated each second, because many cards miss the first packets"),
		field("wake.timeout", "5m", func(c *Config) *time.Duration { return &c.Wake.Timeout }, duration(shortest, day),
			"how long a wake goes on if it was requested or a client still tries to connect, and then how long to wait for a service. A machine gets at least one and a half times as long as it took before"),
		field("wake.keep", true, func(c *Config) *bool { return &c.Wake.Keep }, boolean(),
			"true: a machine that did not wake stays known, and the next packet wakes it again. false: it is forgotten until it registers"),
		field("wake.transports", []any{TransportEthernet, TransportUDP}, func(c *Config) *[]string { return &c.Wake.Transports },
			notEmpty(listOf(transport()), "at least one of ethernet and udp"),
			"how magic packets are sent: ethernet (EtherType 0x0842), udp (port 9), or both, because some cards accept only one of them"),
		field("wake.on_exit", OnExitNone, func(c *Config) *string { return &c.Wake.OnExit }, oneOf(OnExitNone, OnExitAll),
			"sleeping machines when the daemon stops. all: wake them, because their addresses are no longer claimed. none: let them sleep"),
		field("wake.from", []any{}, func(c *Config) *[]netip.Prefix { return &c.Wake.From }, listOf(network()),
			"networks or addresses whose packets may wake. Empty: all"),
		field("wake.local", false, func(c *Config) *bool { return &c.Wake.Local }, boolean(),
			"true: connections of programs on this host wake machines as well. false: they do not, so that monitoring on this host does not keep machines awake. Not with claim.mode: bind").needsRestart(),
		field("wake.established", false, func(c *Config) *bool { return &c.Wake.Established }, boolean(),
			"true: data on an established TCP connection to a registered service wakes the machine as well, for machines that suspend to RAM and keep their connections"),
		field("wake.holdoff", "0s", func(c *Config) *time.Duration { return &c.Wake.Holdoff }, duration(0, hour),
			"time from the claim to the first magic packet, for boards that must not be woken at once"),
		field("wake.min_knocks", 1, func(c *Config) *int { return &c.Wake.MinKnocks }, wholeNumber(1, 10),
			"knocks of one source within knock_window that wake a machine. With 2 or more a single scan does not wake. A client that connects repeats its SYN after 1, 2 or 3 s and later"),
		field("wake.knock_window", "10s", func(c *Config) *time.Duration { return &c.Wake.KnockWindow }, duration(time.Second, 5*time.Minute),
			"time within which min_knocks must come"),
		field("wake.quiet_hours", "", func(c *Config) *wakefilter.Hours { return &c.Wake.QuietHours }, hours(),
			"local times of the day when no knock wakes, such as 23:00-07:00, several separated by commas. Requested wakes still work. Empty: none"),
		field("wake.cooldown", "0s", func(c *Config) *time.Duration { return &c.Wake.Cooldown }, duration(0, hour),
			"time after the claim when only a new TCP connection wakes, not datagrams, pings and data of old connections"),
		field("hold.packets", 64, func(c *Config) *int { return &c.Hold.Packets }, wholeNumber(1, 1024),
			"packets held per machine until it can take them. Beyond that the oldest datagram is dropped"),
		field("hold.ready_timeout", "60s", func(c *Config) *time.Duration { return &c.Hold.ReadyTimeout }, duration(shortest, hour),
			"time for a requested service to open. After that its client is handed over anyway, unless it still tries to connect (wake.timeout)"),
		field("energy.idle_watts", 50, func(c *Config) *float64 { return &c.Energy.IdleWatts }, watts(),
			"watts of an idle machine without idle_watts of its own, to estimate the energy saved"),
		field("energy.sleep_watts", 2, func(c *Config) *float64 { return &c.Energy.SleepWatts }, watts(),
			"watts of a sleeping machine without sleep_watts of its own"),
		field("energy.price", "", func(c *Config) *Price { return &c.Energy.Price }, price(),
			"price of a kWh with its currency, such as 0.30 EUR, to show the money saved. Empty: not shown"),
	}
}
