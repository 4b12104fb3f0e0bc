//go:build race

package e2e

// slower is how much slower the race detector may make what a test measures.
const slower = 5
