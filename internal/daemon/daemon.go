package daemon

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/listen"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
	"nightporter/internal/notify"
	"nightporter/internal/porter"
	"nightporter/internal/ratelimit"
	"nightporter/internal/registration"
	"nightporter/internal/web"
)

// New opens every socket of conf, or none: its error names what is missing. level is set at
// each reload.
func New(conf *config.Config, version string, log *slog.Logger, level *slog.LevelVar) (*Daemon, error) {
	d := &Daemon{conf: conf, log: log, level: level}
	if err := d.open(version); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Daemon) open(version string) error {
	conf, log := d.conf, d.log
	reg := prometheus.NewRegistry()
	m, err := metrics.New(reg, d.source())
	if err != nil {
		return err
	}
	d.metrics = m
	if d.porter, err = porter.New(conf, m, log); err != nil {
		return err
	}
	d.registrar = registration.New(registrarConfig(conf), registration.Options{
		Handler: d.porter, Log: log, Locate: lan.Locate, Known: d.porter.Knows,
		Observe: func(c registration.Conclusion) {
			if c.Outcome == registration.Accepted {
				m.Registered()
				return
			}
			m.RegistrationRejected(c.Outcome.String())
			if c.Logged {
				d.porter.Refused(c.Peer, c.MAC, c.Text)
			}
		},
	})
	for _, addr := range conf.Registration.Listen {
		ln, err := registration.Listen(context.Background(), addr)
		if err != nil {
			return fmt.Errorf("registration.listen: cannot listen on %s: %w", addr, listen.Explain(addr, err))
		}
		d.listeners = append(d.listeners, ln)
	}
	d.web, err = web.New(web.Options{
		Backend: d.porter, Gatherer: reg, Registerer: reg, Log: log,
		Listen: conf.HTTP.Listen, WebConfig: conf.HTTP.WebConfig, Rate: conf.HTTP.Rate, Access: access(conf), Version: version,
		Look: look(conf), Networks: d.networks, Registration: conf.Registration.Listen,
		SourceOf: ratelimit.Locate(lan.Locate).Source,
	})
	if err != nil {
		return err
	}
	if err := d.web.Listen(context.Background()); err != nil {
		return err
	}
	// From here on the state of an earlier run is changed.
	var past journal.Past
	if d.journal, past, err = journal.Open(conf.StateDir, log); err != nil {
		return fmt.Errorf("state_dir: %w: expected a directory that nightporter can write to, and no other nightporter does", err)
	}
	d.notifier = notify.New(d.journal, conf.Notify, func(o notify.Outcome) { m.Notified(string(o)) }, log)
	d.journal.Append(journal.Record{Event: startOf(version, &past)})
	d.porter.Resume(d.journal, past)
	if err := d.porter.Repair(); err != nil {
		return err
	}
	return d.porter.MountGuard()
}

// source returns what the metrics read at each scrape.
func (d *Daemon) source() metrics.Source {
	return metrics.Source{
		Machines: func() []machine.Status { return d.porter.Machines() },
		Drops:    func() map[string]uint64 { return d.porter.Drops() },
		Rejected: func() map[string]map[string]uint64 { return d.porter.Rejected() },
		Guarded:  func() bool { return d.porter.Guard().Active },
		// Read at each scrape: a host begins to forward when containers are installed on
		// it, perhaps long after the start.
		GuardNeeded: func() bool { return d.porter.GuardNeeded() },
		Ready:       func() bool { return d.porter.Ready() == nil },
		Stored:      func() bool { return d.porter.Storage().Healthy },
	}
}

func registrarConfig(conf *config.Config) registration.Config {
	return registration.Config{
		Timeout:        conf.Registration.Timeout,
		MaxConnections: conf.Registration.MaxConnections,
		Turns:          turns(conf.Registration),
		Rate:           conf.Registration.Rate,
		Defaults:       registration.Defaults{IdleWatts: conf.Energy.IdleWatts, SleepWatts: conf.Energy.SleepWatts},
	}
}

// turns returns how many registrations of one source are checked at a time. Under trust self
// a source registers only itself, and the check may take seconds. Otherwise it may
// register several machines.
func turns(r config.Registration) int {
	if r.Trust == config.TrustSelf {
		return 1
	}
	return max(r.MaxConnections/8, 1)
}

func access(conf *config.Config) web.Access {
	return web.Access{Token: conf.HTTP.Token, Hosts: conf.HTTP.Hosts}
}

// look returns the settings of the status page.
func look(conf *config.Config) web.Look {
	l := web.Look{
		Links: conf.HTTP.Links, Machines: make(map[ether.MAC]web.MachineLook, len(conf.Pages)),
		Price: web.Price{Amount: conf.Energy.Price.Amount, Currency: conf.Energy.Price.Currency},
	}
	for mac, page := range conf.Pages {
		l.Machines[mac] = web.MachineLook{URL: page.URL, Group: page.Group}
	}
	return l
}

// Run works until ctx ends, releases every claim within 2 s, and returns nil. It returns an
// error when a part fails.
func (d *Daemon) Run(ctx context.Context) error {
	defer d.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.porter.Run(ctx) })
	g.Go(func() error { return d.web.Run(ctx) })
	g.Go(func() error { return d.notifier.Run(ctx) })
	for _, ln := range d.listeners {
		g.Go(func() error { return d.registrar.Serve(ctx, ln) })
	}
	g.Go(func() error { return d.report(ctx) })
	g.Go(func() error {
		d.logReady(ctx)
		return nil
	})
	return g.Wait()
}

// Reload loads the configuration and applies it. It logs which keys need a restart. After an
// error the old configuration stays.
func (d *Daemon) Reload(ctx context.Context, load func() (*config.Config, error)) error {
	conf, err := load()
	var restart []string
	if err == nil {
		restart, err = d.takeOver(ctx, conf)
	}
	d.metrics.Reloaded(err == nil)
	d.showReload(err, restart)
	if err != nil {
		return err
	}
	d.log.Info("configuration reloaded", "event", "reloaded", "machines_in_file", len(conf.Machines), "machines_known", len(d.porter.Machines()))
	if len(restart) > 0 {
		d.log.Warn("these keys changed, but take effect only after a restart", "event", "restart_needed", "keys", restart)
	}
	return nil
}

// takeOver applies the keys that may change without a restart, and returns the changed keys
// that need one.
func (d *Daemon) takeOver(ctx context.Context, conf *config.Config) ([]string, error) {
	restart, err := d.porter.Reload(ctx, conf)
	if err != nil {
		return nil, err
	}
	d.level.Set(conf.Log.Level)
	d.registrar.SetConfig(registrarConfig(conf))
	d.web.SetRate(conf.HTTP.Rate)
	d.web.SetAccess(access(conf))
	d.web.SetLook(look(conf))
	d.notifier.Configure(conf.Notify)
	return restart, nil
}
