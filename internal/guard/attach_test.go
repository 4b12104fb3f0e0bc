package guard

import (
	"testing"

	"nightporter/internal/lab"
)

// TestAttachTakesAnInterfaceIn: the interface of the default route may not be known
// when the guard is installed.
func TestAttachTakesAnInterfaceIn(t *testing.T) {
	for _, layout := range layouts {
		t.Run(layout.name, func(t *testing.T) {
			p := newHost(t)
			o := layout.opts
			o.Interfaces = nil
			g := p.lay(o, layout.noIngress)
			p.must(g.Check()) // it works on none
			p.must(g.Attach(lab.Interface))
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
