package porter

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

// TestManyServicesAreNotManyQuestions: a machine with hundreds of services that
// are waited for is asked no more often than one with few.
func TestManyServicesAreNotManyQuestions(t *testing.T) {
	overnight(t, nil, func(h *night) {
		const services = 200
		spec := nas()
		spec.Monitor = spec.Monitor[:1]
		spec.Monitor[0].Ports = nil
		for i := range services {
			spec.Monitor[0].Ports = append(spec.Monitor[0].Ports, machine.Port{Protocol: machine.TCP, Number: uint16(1000 + i)})
		}
		r := h.asleep(spec)
		asked, all := map[machine.Service]int{}, 0
		h.n.ask = func(_ machine.MAC, s machine.Service) { asked[s]++; all++ }
		for i := range services {
			h.frame(syn(nas4, uint16(1000+i)))
		}
		h.frame(arpReply(nasMAC, porterMAC, nas4, porter4))
		h.want(r, machine.Arriving)
		h.pass(time.Second)
		if all < questions*9/10 || all > questions*11/10 {
			t.Errorf("%d questions in the first second, want about %d", all, questions)
		}
		for s, n := range asked {
			if n < all/services-2 || n > all/services+2 {
				t.Errorf("%v was asked %d times of %d", s, n, all)
			}
		}
		if len(asked) != services {
			t.Errorf("%d services were asked, want %d", len(asked), services)
		}
	})
}
