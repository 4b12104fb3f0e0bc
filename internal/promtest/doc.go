// Package promtest runs the programs of the Prometheus project for tests: promtool and
// amtool on the files that nightporter ships, Prometheus and Alertmanager as processes on a
// host of a lab. Its own tests are those of the rules in dashboards/rules, which belong to
// no Go package.
package promtest
