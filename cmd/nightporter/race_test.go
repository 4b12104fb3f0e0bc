//go:build race

package main

// slower is how much slower the race detector may make what a test measures.
const slower = 5
