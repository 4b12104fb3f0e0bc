package soak

import (
	"flag"
	"fmt"
	"testing"
)

var (
	seeds = flag.Int("seeds", 2, "months to play")
	first = flag.Uint64("first-seed", 1, "seed of the first month")
	days  = flag.Int("days", 2, "days of a month")
)

// failed are seeds that once showed a fault.
var failed = []struct {
	seed  uint64
	days  int
	fault string
}{
	{10, 1, "up at one address, and probed at another"},
	{9, 2, "up at one address, and probed at another"},
	{538, 28, "a wake failed just after a frame"},
	{183, 16, "a frame between the last probe and the claim"},
	{676, 21, "a late tick, and not probed at the address where it is up"},
	{116, 28, "one address tested after the other"},
	{54, 29, "a flap, and an address under test"},
	{97, 20, "a flap, and a frame but no probe since"},
}

// TestMonth plays months of a network of 20 machines, and the seeds that failed before.
func TestMonth(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, f := range failed {
		t.Run(fmt.Sprintf("seed %d, %s", f.seed, f.fault), func(t *testing.T) {
			t.Parallel()
			play(f.seed, f.days, false, t.Fatalf) // as it was when it failed
		})
	}
	for i := range uint64(*seeds) {
		t.Run(fmt.Sprintf("seed %d", *first+i), func(t *testing.T) {
			t.Parallel()
			play(*first+i, *days, true, t.Fatalf)
		})
	}
}
