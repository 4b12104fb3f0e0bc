package guard

import (
	"testing"

	"nightporter/internal/lab"
)

// TestInterfaceIsTakenIn: the interface of the default route may not be known when the
// guard is installed.
func TestInterfaceIsTakenIn(t *testing.T) {
	for _, layout := range layouts {
		for first, use := range map[string]func(*Guard) error{
			"attached": func(g *Guard) error { return g.Attach(lab.Interface) },
			"held":     func(g *Guard) error { return g.Hold(lab.Interface, nas4) },
		} {
			t.Run(layout.name+"/"+first, func(t *testing.T) {
				p := newHost(t)
				o := layout.opts
				o.Interfaces = nil
				g := p.lay(o, layout.noIngress)
				p.must(g.Check()) // it works on none
				p.must(use(g))
				if !layout.noIngress {
					p.wantChains("ingress_1")
				}
				p.must(g.Hold(lab.Interface, nas4, nas6))
				p.wantAddrs(nas4, nas6)
				p.must(g.Attach(lab.Interface)) // it is known now
				p.must(g.Check())
				p.wantAddrs(nas4, nas6)
				p.must(g.Release(lab.Interface, nas4))
				p.wantAddrs(nas6)
			})
		}
	}
}
