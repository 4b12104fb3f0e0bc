// Package promstack runs Debian's Prometheus and Alertmanager, as processes of
// their own, on a host of a lab, and asks them what Grafana would ask to show the
// dashboards: for an end-to-end test of dashboards and rules.
package promstack
