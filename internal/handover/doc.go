// Package handover hands held connections over to a machine that boots. Hold holds the
// packets of clients, and Readiness finds out when each service accepts its clients. The
// package sends nothing itself and reads no clock: callers pass a send function and the
// time.
package handover
