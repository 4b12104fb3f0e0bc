// Package lan works on one network interface. It has the packet sockets and their kernel
// filters, parses and builds frames (ARP, neighbor discovery, magic packets, probes of
// services), forwards packets to another host, and reads from the kernel the network
// behind the interface: addresses, routes, neighbors.
//
// The package has no notion of a machine's state or of a claim: a Packet holds what a
// frame contains, not what it means.
package lan
