// Package porter is the event loop that joins the other packages.
//
// Frames come in on two or three reader goroutines per interface. They work on an
// immutable view (what is watched, what is answered for), answer ARP and NDP by
// themselves, and report to the loop what a machine has to know: it spoke, a client
// knocked, another host uses its address. They lock only what belongs to one
// machine: its held packets, its judge, the neighbours that asked for it. The loop
// owns every machine, and alone changes anything.
package porter
