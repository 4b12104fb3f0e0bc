// Package lab builds a LAN out of network namespaces: a switch, a router with
// a host outside, a porter's host, clients, and machines that truly sleep and
// wake by magic packet. End-to-end tests, benchmarks and the demo run in it.
//
// Nothing in the lab knows the daemon. Every namespace is anonymous: only open
// files of this process keep it, so all of it vanishes with the process,
// however that ends. Machines keep real time.
//
// The plan of the LAN, 10.77.0.0/24 and fd77::/64:
//
//	outside 10.78.0.2 ── 10.78.0.1 router 10.77.0.1 ──┐
//	                             porter 10.77.0.2 ────┤ switch
//	                             client 10.77.0.10 ───┤
//	                             machines and hosts ──┘
//
// The IPv6 addresses follow suit: fd77::1, fd77::2, fd77::10; fd78::1, fd78::2.
// Programs started in a host see its network, but the file system of this
// process: /sys/class/net still lists the interfaces out there.
//
// The lab ends threads of this process as it goes. A parent-death signal
// (syscall.SysProcAttr.Pdeathsig) is bound to the starting thread, so a program
// that uses the lab leaves those to Host.Start.
package lab
