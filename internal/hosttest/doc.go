// Package hosttest gives tests what a host has and a test must not change on the real one:
// a wall clock that was set, and a small disk that can be full or read-only.
package hosttest
