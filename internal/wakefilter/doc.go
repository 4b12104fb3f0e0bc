// Package wakefilter decides whether a knock wakes a sleeping machine: by the number of
// knocks of one source, by quiet hours, and by a cooldown after the machine fell asleep.
// It counts the packets that did not wake. It has no socket, clock or goroutine of its
// own.
package wakefilter
