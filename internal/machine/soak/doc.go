// Package soak simulates lives of machines against package machine, and checks what an
// observer on their LAN sees. Time is simulated: a queue of events, without a goroutine, a
// socket or a clock.
//
// A host is what a machine really does. A porter carries out the actions of package machine.
// A checker compares the two. A scenario makes things happen: the property test has rapid
// choose them, a month draws them from a seed.
package soak
