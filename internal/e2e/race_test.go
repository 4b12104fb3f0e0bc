//go:build race

package e2e

// fastestFlood is how many frames a second the daemon can read with the race detector, on a busy
// computer too. A faster flood fills its queue, and a test would measure the queue.
const fastestFlood = 10000

// raceConnectionMemory is how many bytes the race detector may keep of each connection that has
// ended. Seen are 370; without the detector nothing stays.
const raceConnectionMemory = 512
