package porter

import "testing"

func TestRegistry(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.register(nas())
		r := &x.machines
		if r.holder(nas4, tvMAC) != e || r.holder(nas4, nasMAC) != nil || r.holder(tv4, tvMAC) != nil {
			t.Error("the holder of an address is another")
		}
		other := x.register(at(tv(), tv4))
		if r.share(e) || r.share(other) {
			t.Error("they share no address")
		}
		if all := r.sorted(); len(all) != 2 || all[0] != e || all[1] != other {
			t.Error("the machines are not sorted by name")
		}
		x.remove(e)
		if r.has(e) || !r.has(other) {
			t.Error("one was removed, and it was the other")
		}
	})
}
