// Package web serves the porter over HTTP: metrics, health and readiness, an API to
// read and wake machines, and a status page. It also has the client of that API.
//
// It listens through Prometheus's exporter-toolkit, so that TLS, passwords and client
// certificates are configured as for other exporters. Its data comes from a Backend;
// the package stores nothing.
package web
