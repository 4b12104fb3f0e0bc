package e2e

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// samplePace is how quickly samples follow each other. After a pause the processor is in a
// sleep state, and waking it takes longer than the rest, above all in a virtual machine. Both
// paces occur in practice: the SYN of a new client follows its ARP request at once.
type samplePace struct {
	pause   time.Duration // before each sample
	samples int
}

func (p samplePace) rest() { time.Sleep(p.pause) }

// addressFamily is the sleeping machine's address of a family, and functions that return the
// addresses of other hosts.
type addressFamily struct {
	nas    netip.Addr
	own    func(*lab.Host) netip.Addr
	absent func(absentMachine) netip.Addr
}

// runPaces runs a benchmark for both families, and once more with pauses.
func runPaces(b *testing.B, v4, v6 string, run func(*testing.B, addressFamily, samplePace)) {
	family4 := addressFamily{nas4, (*lab.Host).Addr4, func(g absentMachine) netip.Addr { return g.ip4 }}
	family6 := addressFamily{nas6, (*lab.Host).Addr6, func(g absentMachine) netip.Addr { return g.ip6 }}
	quick, rested := samplePace{0, 400}, samplePace{20 * time.Millisecond, 200}
	b.Run(v4, func(b *testing.B) { run(b, family4, quick) })
	b.Run(v6, func(b *testing.B) { run(b, family6, quick) })
	b.Run(v4+"-rested", func(b *testing.B) { run(b, family4, rested) })
}
