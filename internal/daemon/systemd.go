package daemon

import (
	"context"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// report notifies the service manager until ctx ends: READY=1 once the daemon has started,
// without waiting for a network, and WATCHDOG=1 while the loop handles requests.
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

// feedWatchdog sends WATCHDOG=1 once in each pause while the loop handles requests. If the
// loop hangs the service manager restarts the daemon.
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

// ReportFailure sends the service manager the reason why the daemon ends, for systemctl
// status, which shows no log while the manager waits for the next start. The status is one
// line (sd_notify(3)). A failure to send is ignored: the error is also in the log.
func ReportFailure(err error) {
	_, _ = systemd.SdNotify(false, "STATUS="+strings.ReplaceAll(err.Error(), "\n", " "))
}
