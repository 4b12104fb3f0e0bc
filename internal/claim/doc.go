// Package claim answers ARP and NDP for a sleeping machine's addresses with our own MAC,
// announces every new owner of an address to the LAN, and adds addresses to the interface
// in bind mode.
package claim
