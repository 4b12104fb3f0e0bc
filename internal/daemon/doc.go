// Package daemon is the process. It connects the porter with the registration server, the
// HTTP server, the journal and the notifier, reloads the configuration, and reports to the
// service manager (systemd).
package daemon
