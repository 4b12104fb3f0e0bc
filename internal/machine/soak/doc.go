// Package soak plays whole lives of machines against package machine, and watches
// them as a bystander on the LAN does. A life is played in simulated time: a queue
// of what happens, without a goroutine, a socket or a clock.
//
// A host is what a machine really does, a porter carries out what package machine
// asks for, and a bystander compares the two. The property test has rapid choose
// what happens; the soak plays a month in a house, drawn from a seed.
package soak
