package daemon

import (
	"context"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// report keeps the service manager informed until ctx ends: that the daemon has
// started, which does not wait for a network, and as long as the loop turns that it
// is alive.
func (d *Daemon) report(ctx context.Context) error {
	select {
	case <-d.porter.Started():
	case <-ctx.Done():
		return nil
	}
	d.notify(systemd.SdNotifyReady)
	defer d.notify(systemd.SdNotifyStopping)
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		<-ctx.Done()
		return nil
	}
	d.feedWatchdog(ctx, interval/3)
	return nil
}

// feedWatchdog reports every pause that the loop still turns. A loop that hangs
// ends that, and the service manager restarts the daemon.
func (d *Daemon) feedWatchdog(ctx context.Context, pause time.Duration) {
	pulse := time.NewTicker(pause)
	defer pulse.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pulse.C:
			if d.porter.Alive(ctx) == nil {
				d.notify(systemd.SdNotifyWatchdog)
			}
		}
	}
}

func (d *Daemon) notify(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		d.log.Warn("cannot notify the service manager", "event", "systemd_failed", "err", err)
	}
}

// ReportFailure tells the service manager why the daemon ends, for systemctl status: that
// shows no log while the manager waits for the next start. The status is one line:
// sd_notify(3). The error is in the log in any case.
func ReportFailure(err error) {
	_, _ = systemd.SdNotify(false, "STATUS="+strings.ReplaceAll(err.Error(), "\n", " "))
}
