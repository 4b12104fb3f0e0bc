// Package machine knows what a sleeping machine is and how it lives: its
// addresses and services, and the pure state machine that turns what happened
// (events) into what must be done (actions). It opens no socket, starts no
// goroutine and reads no clock: the time comes in with every event.
//
// Two models make up a life. Presence (presence.go) is whether the machine is up,
// as proved by its answers to our questions: a frame that merely arrives proves
// nothing, it makes us ask, and only silence after that means off. Each address has
// a life of its own (address.go). What holds in which state:
//
//	state     the machine            an address that can be claimed            packets for it             asked
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
// A machine that is paused counts as awake, and is not asked (pause.go).
//
// A machine that fell silent around an outage of ours is asked on while it sleeps
// (doubtfulFor). An address that cannot be claimed at present waits in every state, and spoils
// nothing for the others.
package machine
