// Package machine defines a sleeping machine, its addresses and services, and the pure
// state machine that turns events into actions. It opens no socket, starts no goroutine
// and reads no clock: every event comes with its time.
//
// Presence (presence.go) is whether the machine is up, as proved by answers to probes: a
// frame that merely arrives proves nothing and makes a probe due, and only silence after
// that means off. Each address has a state of its own (address.go). The states:
//
//	state     the machine            an address that can be claimed            packets for it             probed
//	awake     is up                  own; returned for a while after a claim   forwarded                  every watch.interval,
//	                                                                                                      at first each 500 ms
//	settling  in doubt               as before the doubt; nothing is           knocks are kept            every probe.interval
//	                                 answered where the machine spoke
//	asleep    is off                 claimed, or conceded to another host      knocks wake, and are kept  not at all
//	waking    is off, magic packets  claimed                                   knocks are kept            at Pace
//	          go out
//	arriving  is up, its services    claimed, answered for beside the machine  knocks at services that    at Pace
//	          are not ready                                                    are not ready are kept
//
// A paused machine counts as awake, and is not probed (pause.go).
//
// A machine that fell silent around an outage of the porter's network is probed while it
// sleeps (doubtfulFor). An address that cannot be claimed at present is Waiting in every
// state, and does not affect the others.
package machine
