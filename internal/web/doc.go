// Package web serves the porter over HTTP: the metrics, the probes of a
// supervisor, an API to look at machines and wake them, and a page for people.
//
// It listens through Prometheus's exporter-toolkit, so that TLS, passwords and
// client certificates are set up as for any exporter. What it shows comes from a
// Backend; it keeps nothing itself.
package web
