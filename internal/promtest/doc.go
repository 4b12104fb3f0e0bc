// Package promtest has tests ask the programs of the Prometheus project what
// they think of the files that are made for them. Its own tests are those of the
// rules in dashboards/rules, which belong to no Go package.
package promtest
