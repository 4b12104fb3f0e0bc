//go:build !race

package e2e

// slower is 1 without the race detector.
const slower = 1
