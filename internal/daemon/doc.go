// Package daemon is the process: it wires the porter to the registration server,
// the HTTP server, the journal and the notifier, takes over new configurations, and
// reports to the service manager.
package daemon
