package daemon

import (
	"log/slog"
	"net"

	"nightporter/internal/config"
	"nightporter/internal/journal"
	"nightporter/internal/metrics"
	"nightporter/internal/notify"
	"nightporter/internal/porter"
	"nightporter/internal/registration"
	"nightporter/internal/web"
)

// Daemon runs the porter with its registration and HTTP servers, the journal and the
// notifier. Make it with New, then Run it.
type Daemon struct {
	porter    *porter.Porter
	conf      *config.Config
	log       *slog.Logger
	level     *slog.LevelVar
	registrar *registration.Server
	listeners []net.Listener
	journal   *journal.Journal
	notifier  *notify.Notifier
	web       *web.Server
	metrics   *metrics.Metrics
}

// Close closes all sockets and the journal. Run does it too.
func (d *Daemon) Close() {
	if d.web != nil {
		d.web.Close()
	}
	for _, ln := range d.listeners {
		ln.Close()
	}
	if d.porter != nil {
		d.porter.Close()
	}
	if d.journal != nil {
		if err := d.journal.Close(); err != nil {
			d.log.Error("the journal is not complete", "event", "journal_incomplete", "err", err)
		}
	}
}

func (d *Daemon) networks() []web.Network {
	known := d.porter.Networks()
	all := make([]web.Network, len(known))
	for i, n := range known {
		all[i] = web.Network{Name: n.Name, Addresses: n.Prefixes}
	}
	return all
}
