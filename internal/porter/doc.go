// Package porter is the event loop that joins the other packages: frames, requests and
// timers come in, machine events go out to the state machines, and their actions are
// carried out.
// Two or three reader goroutines per interface handle the frames (package fastpath). They
// work on an immutable view, answer ARP and NDP, and report sightings to the loop: the
// machine sent a frame, a client knocked, another host uses the address. They lock only
// what belongs to one machine: its held packets, its filter, its list of requesters.
//
// The loop is one goroutine. It owns every machine and every field of loop, entry and nic
// that is not atomic. Methods of Porter are safe for any goroutine: they send a request to
// the loop and wait for it.
package porter
