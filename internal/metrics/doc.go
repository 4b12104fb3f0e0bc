// Package metrics exports the Prometheus metrics of the porter.
//
// There are two kinds of metrics. Facts about a machine (its state, how long it
// slept, how many magic packets it took) are read from their owner at each
// scrape, so they cannot disagree with it, and go when the machine goes. Events
// (an ARP reply, a boot, a registration) are counted here as they happen.
//
// Everything is registered with the Registerer that the caller passes in; the
// package has no state of its own.
package metrics
