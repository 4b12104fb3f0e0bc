// Package lan knows one network interface: its packet socket and the kernel
// filter in front of it, how frames are taken apart and put together (ARP,
// neighbour discovery, magic packets), and what the kernel knows of the network
// behind it (addresses, gateways, neighbours).
//
// It knows nothing of machines' lives or of claims: a Packet says what a frame
// is, not what it means.
package lan
