// Package handover knows what happens between a knock and the moment when the
// machine serves its client itself: the packets that are kept meanwhile (Hold),
// and when each service can take its clients (Readiness). It sends nothing and
// has no clock: its callers do.
package handover
