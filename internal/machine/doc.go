// Package machine knows what a sleeping machine is and how it lives: its
// addresses and services, and the pure state machine that turns what happened
// (events) into what must be done (actions).
//
// The package is pure. It opens no socket, starts no goroutine and reads no
// clock: the time comes in with every event.
package machine
