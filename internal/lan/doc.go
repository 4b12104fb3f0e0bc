// Package lan knows one network interface: its packet sockets and the kernel
// filters in front of them, how frames are taken apart, put together (ARP,
// neighbour discovery, magic packets, probes of services) and sent on to another
// host, and what the kernel knows of the network behind it (addresses, gateways,
// neighbours).
//
// It knows nothing of machines' lives or of claims: a Packet says what a frame
// is, not what it means.
package lan
