// Package claim keeps a sleeping machine's addresses alive: it answers ARP and
// NDP for them with our own MAC, and tells the LAN whenever an address changes
// hands.
package claim
