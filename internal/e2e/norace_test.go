//go:build !race

package e2e

// fastestFlood is 0: without the race detector a host floods as fast as it can.
const fastestFlood = 0

// raceConnectionMemory is 0: nothing stays of a connection that has ended.
const raceConnectionMemory = 0
