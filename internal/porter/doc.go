// Package porter is the daemon: one event loop that joins the rooms.
//
// Frames come in on one reader goroutine per interface. The reader works on an
// immutable view (what is watched, what is answered for) and takes no lock: it
// answers ARP and NDP by itself, and reports to the loop what a machine has to
// know: it spoke, somebody knocked, somebody else uses its address. The loop
// owns every machine, and alone changes anything.
package porter
