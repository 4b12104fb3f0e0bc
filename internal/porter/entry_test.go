package porter

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

func newEntry(spec machine.Spec) *entry {
	return &entry{Machine: machine.New(spec, machine.Policy{ProbeInterval: time.Second, ProbeMisses: 3, ProbeTimeout: time.Minute}, time.Now())}
}

// The readers look out for a machine that has registered and does not speak
// for itself.
func TestWatched(t *testing.T) {
	r := newEntry(nas())
	if r.watched() {
		t.Error("a machine that never registered is watched")
	}
	r.nic = &nic{}
	if r.watched() {
		t.Error("an awake machine is watched")
	}
	r.Handle(time.Now(), machine.Registered{Spec: nas()})
	if !r.watched() {
		t.Errorf("a machine that is %v is not watched", r.State())
	}
}
