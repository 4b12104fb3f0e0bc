// Package porter is the daemon's core: one event loop that joins the other rooms.
//
// The readers of each interface (package fastpath) answer and hold by themselves,
// and report to the loop what a machine has to know: that it spoke, that a client
// knocked, that another host uses its address. The loop owns every machine, and
// alone changes anything.
package porter
