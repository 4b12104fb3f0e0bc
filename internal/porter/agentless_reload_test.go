package porter

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/fastpath"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// A change of the configuration takes effect in every state, and one that leaves
// a machine as it is does nothing.
func TestReloadOfAnAgentlessMachine(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.watch(mute())
		h.pass(20 * time.Second)
		r := h.byMAC[nasMAC]
		h.want(r, machine.Asleep, nas4, nas6)
		began := r.Status().Since
		h.pass(time.Hour)
		h.watch(mute(), tv())
		if h.byMAC[nasMAC] != r {
			t.Error("it is another one, although nothing was changed")
		}
		h.want(r, machine.Asleep, nas4, nas6)

		changed := mute()
		changed.Name = "tower"
		changed.Monitor = []machine.Address{{IP: nas4}, {IP: nobody4, Ports: []machine.Port{ssh}}}
		h.told(nas6)
		h.watch(changed, tv())
		h.wantNames(t, "tower", "tv")
		if h.answers(nas6) || h.answers(nas4) {
			t.Error("still answered for")
		}
		if owners := h.told(nas6); !slices.Equal(owners, []machine.MAC{nasMAC}) {
			t.Errorf("announced at %v", owners)
		}
		h.pass(time.Second)
		r = h.byMAC[nasMAC]
		h.want(r, machine.Asleep, nas4, nobody4)
		if s := r.Status(); s.Slept(time.Now()) < time.Since(began) {
			t.Errorf("slept %v of %v", s.Slept(time.Now()), time.Since(began))
		}
		h.frame(syn(nas4, 22)) // no service any more
		h.want(r, machine.Asleep, nas4, nobody4)
		h.frame(syn(nobody4, 22))
		h.want(r, machine.Waking, nas4, nobody4)
	})
}

func TestReloadEndsTheWatch(t *testing.T) {
	for _, c := range []struct {
		name string
		then []machine.Spec
		want []string
	}{
		{"removed", nil, nil},
		{"agentless no more", []machine.Spec{nas()}, []string{"nas"}},
		{"another has its name", []machine.Spec{func() machine.Spec { s := tv(); s.Name = "nas"; return s }()}, []string{"nas"}},
	} {
		for _, asleep := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				overnight(t, nil, func(h *night) {
					h.watch(mute())
					if asleep {
						h.pass(20 * time.Second)
						h.want(h.byMAC[nasMAC], machine.Asleep, nas4, nas6)
					}
					h.told(nas4)
					h.watch(c.then...)
					h.wantNames(t, c.want...)
					h.unwatched()
					if h.answers(nas4) || h.answers(nas6) {
						t.Error("still answered for")
					}
					if owners := h.told(nas4); asleep && !slices.Equal(owners, []machine.MAC{nasMAC}) {
						t.Errorf("announced at %v", owners)
					}
					records := h.journal.(*notebook).records
					if len(records) == 0 || records[len(records)-1].Forgotten != nasMAC || records[len(records)-1].Event.Kind != journal.Forgotten {
						t.Error("the journal goes on to remember it")
					}
					h.pass(time.Minute)
					h.unwatched()
				})
			})
		}
	}
}

func TestReloadSwapsAgentlessNames(t *testing.T) {
	overnight(t, nil, func(h *night) {
		other := tv()
		other.Agentless = true
		h.watch(mute(), other)
		h.pass(20 * time.Second)
		first, second := mute(), other
		first.Name, second.Name = second.Name, first.Name
		h.watch(first, second)
		h.pass(time.Second)
		h.want(h.machines["tv"], machine.Asleep, nas4, nas6)
		h.want(h.machines["nas"], machine.Asleep, tv4)
	})
}

// What it registered holds until it registers again; whether it has to is for the
// configuration to say, also later.
func TestAgentlessThatRegistered(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.watch(mute())
		said := nas()
		said.Name, said.Monitor = "tower", said.Monitor[:1]
		r := h.register(said)
		h.want(r, machine.Settling)
		h.pass(3*time.Second + time.Millisecond)
		h.want(r, machine.Asleep, nas4)
		h.hears(11 * time.Minute) // probe.timeout and more
		h.want(r, machine.Awake)
		h.pass(20 * time.Second)
		h.want(r, machine.Asleep, nas4) // without a registration
		h.watch(mute())
		h.want(r, machine.Asleep, nas4)
		h.wantNames(t, "tower")
		mem := r.Memory()

		h.hears(30 * time.Second)
		h.watch(nas()) // agentless no more
		h.pass(time.Minute)
		h.want(r, machine.Awake)
		if h.byMAC[nasMAC] != r || r.attention() != ignored {
			t.Errorf("attention %d", r.attention())
		}
		h.watch(mute())
		h.pass(20 * time.Second)
		h.want(r, machine.Asleep, nas4)

		// After a restart, too, in whatever state it finds the machine.
		mem.Spec.Agentless = false // as it was when the journal was written
		for _, mem.State = range []machine.State{machine.Asleep, machine.Awake} {
			h.remove(h.byMAC[nasMAC])
			h.know(t, mute())
			h.Porter.Resume(h.journal, journal.Past{Until: time.Now(), Machines: []machine.Memory{mem}})
			h.publish()
			r = h.byMAC[nasMAC]
			if diff := cmp.Diff(said.Monitor, r.Spec().Monitor, comparable); diff != "" || !r.Spec().Agentless {
				t.Errorf("agentless: %t, monitor (-want +got):\n%s", r.Spec().Agentless, diff)
			}
			h.pass(20 * time.Second)
			h.want(r, machine.Asleep, nas4)
		}
	})
}

// It is not left on an interface where its addresses may be claimed no more.
func TestAgentlessIsDisplaced(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.watch(mute())
		h.pass(20 * time.Second)
		r := h.byMAC[nasMAC]
		h.want(r, machine.Asleep, nas4, nas6)
		h.displace(h.n)
		if h.byMAC[nasMAC] != r {
			t.Error("displaced for nothing")
		}
		// Its entry names what another has, or the network is another.
		intruder := tv()
		intruder.Monitor = append(intruder.Monitor, machine.Address{IP: nas6})
		h.settle(intruder)
		h.displace(h.n)
		h.placeAgentless()
		h.publish()
		r = h.byMAC[nasMAC]
		if r.nic != nil || r.configured == nil || h.answers(nas4) || h.n.reader.View().Address(nas4) != nil || h.n.reader.View().Address(nas6) != nil {
			t.Errorf("it is on %v", r.nic)
		}
		h.pass(time.Hour)
		if mem := r.Memory(); mem.State != machine.Asleep {
			t.Errorf("it is %v", mem.State)
		}
		h.forget(h.byMAC[tvMAC], "test")
		h.placeAgentless()
		h.publish()
		h.pass(time.Second)
		h.want(r, machine.Asleep, nas4, nas6)
		if got := h.byMAC[nasMAC].Status(); got.Slept(time.Now()) < time.Hour {
			t.Errorf("slept %v", got.Slept(time.Now()))
		}
	})
}

// A thousand of them that answer cost little.
func BenchmarkAttended(b *testing.B) {
	specs := crowd(1000)
	p, _ := vacant(b, nil)
	reader := fastpath.New(fastpath.Options{Sightings: p.sightings})
	reader.SetSelf(porterMAC)
	v := fastpath.NewView(fastpath.Rules{})
	for i := range specs {
		specs[i].Agentless = true
		r := p.add(specs[i])
		r.nic, r.target = new(nic), r.newTarget(specs[i])
		v.Add(r.target, false, r.Conceded)
		p.tell(r, machine.Entrusted{Agentless: true})
	}
	reader.SetView(v)
	answer := func(s machine.Spec, ip netip.Addr) {
		reader.Handle(arpReply(s.MAC, porterMAC, ip, porter4))
		p.see(<-p.sightings)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s := specs[i%len(specs)]
		for _, ip := range s.Addrs() {
			answer(s, ip)
		}
	}
}
