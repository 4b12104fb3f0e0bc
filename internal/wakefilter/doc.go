// Package wakefilter decides which knocks at a sleeping machine are to wake it, so
// that neither a stray scan nor the leftover of a connection does, nor anybody at
// night. It knows knocks, rules and times. It has no socket, no clock and no
// goroutine.
package wakefilter
