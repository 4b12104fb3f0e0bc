package porter

import (
	"sync/atomic"
	"testing"

	"nightporter/internal/lab/labtest"
)

// BenchmarkPublish is a new view and kernel filter, because one machine of a
// thousand came or went.
func BenchmarkPublish(b *testing.B) {
	host := labtest.New(b).Porter()
	p, _ := vacant(b, nil)
	if err := host.Do(func() error { return p.openStubbed(new(atomic.Int64)) }); err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	for _, spec := range crowd(1000) {
		p.settle(spec).nic = p.nics[0]
	}
	b.ReportAllocs()
	for b.Loop() {
		p.nics[0].stale = true
		p.publish()
	}
}
