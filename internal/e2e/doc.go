// Package e2e holds the end-to-end tests: the real program, as a process of its own, on
// the porter's host of a LAN in network namespaces.
package e2e
