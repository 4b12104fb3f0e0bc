package daemon

import (
	"strings"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// ReportFailure tells the service manager why the daemon ends, for systemctl status: that
// shows no log while the manager waits for the next start. The status is one line:
// sd_notify(3). The error is in the log in any case.
func ReportFailure(err error) {
	_, _ = systemd.SdNotify(false, "STATUS="+strings.ReplaceAll(err.Error(), "\n", " "))
}
