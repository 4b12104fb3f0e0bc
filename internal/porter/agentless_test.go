package porter

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// mute is nas, which does not register.
func mute() machine.Spec {
	s := nas()
	s.Agentless = true
	return s
}

// watch has the configuration say these machines, and looks after them.
func (h *night) watch(specs ...machine.Spec) {
	h.Helper()
	h.know(h.T, specs...)
	h.placeAgentless()
	h.publish()
}

// hears has the machine answer the porter's questions for a while.
func (h *night) hears(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); h.pass(time.Second) {
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
	}
}

// The whole time from the first silence to the second.
func TestAgentlessNight(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.watch(mute())
		r := h.byMAC[nasMAC]
		h.hears(time.Minute)
		h.want(r, machine.Awake)
		h.pass(9 * time.Second) // it was heard a second ago
		h.want(r, machine.Settling)
		h.pass(time.Second)
		h.want(r, machine.Asleep, nas4, nas6)
		h.pass(time.Minute)
		h.frame(syn(nas4, 22))
		h.want(r, machine.Waking, nas4, nas6)
		h.pass(5 * time.Second)
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
		h.frame(h.accepts(nas4, 22))
		h.want(r, machine.Awake)
		h.hears(time.Minute)
		h.pass(12 * time.Second)
		h.want(r, machine.Asleep, nas4, nas6)
		want := []string{
			"settling, nas, answers no more, (settling)",
			"asleep, nas, fell silent, (asleep)",
			"knock, nas, 10.77.0.20:22/tcp, tcp, from 10.77.0.10:40000",
			"magic, nas, (waking)",
			"arrived, nas, spoke for its address, (arriving)",
			"ready, nas, 10.77.0.20:22/tcp, tcp, ready, from 10.77.0.10:40000, boot 5s, (awake)",
			"settling, nas, answers no more, (settling)",
			"asleep, nas, fell silent, (asleep)",
		}
		told := h.journal.(*notebook).told()
		for i, line := range told {
			told[i] = strings.Replace(line, ", slept 1m0s", "", 1)
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// What an awake machine exchanges with our own host does not pass the kernel
// filter for our sake, however much that is.
func TestAwakeAgentlessCostsNothing(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.watch(mute())
		r := h.byMAC[nasMAC]
		wanted := func(macs, addrs int) {
			t.Helper()
			v := h.n.reader.View()
			if a := v.Address(nas4); a == nil || a.Target() != r.target {
				t.Errorf("%v: the reader does not know it", r.State())
			}
			if in := v.Interest(nil); len(in.MACs) != macs || len(in.Addrs) != addrs {
				t.Errorf("%v: the filter passes %v and %v", r.State(), in.MACs, in.Addrs)
			}
		}
		wanted(0, 0)
		h.hears(time.Minute)
		wanted(0, 0)
		h.pass(9 * time.Second)
		h.want(r, machine.Settling)
		wanted(1, 2)
		h.pass(time.Second)
		wanted(1, 2)
		h.want(r, machine.Asleep, nas4, nas6)
		h.hears(10 * time.Second)
		h.want(r, machine.Awake)
		wanted(1, 2) // the IPv6 address is not seen in use so far
		h.hears(30 * time.Second)
		wanted(0, 0)
	})
}

// Nothing of what may not be claimed is, and the log says so once.
func TestAgentlessWithoutAPlace(t *testing.T) {
	at := func(addrs ...string) machine.Spec {
		s := mute()
		s.Monitor = nil
		for _, a := range addrs {
			s.Monitor = append(s.Monitor, machine.Address{IP: netip.MustParseAddr(a), Ports: []machine.Port{ssh}})
		}
		return s
	}
	for _, c := range []struct {
		name, says string
		spec       func(*night) machine.Spec
	}{
		{"elsewhere", "found 192.0.2.1, which is not in a network", func(*night) machine.Spec { return at("192.0.2.1") }},
		{"one address elsewhere", "found 192.0.2.1, which is not in a network", func(*night) machine.Spec { return at("10.77.0.20", "192.0.2.1") }},
		{"our own address", "found 10.77.0.2, an address of the porter's own host", func(*night) machine.Spec { return at("10.77.0.2") }},
		{"the gateway", "found 10.77.0.1, a gateway's address", func(*night) machine.Spec { return at("10.77.0.1") }},
		{"broadcast", "found 10.77.0.255, a broadcast or network address", func(*night) machine.Spec { return at("10.77.0.255") }},
		{"our own card", "an interface of this host", func(h *night) machine.Spec { s := mute(); s.MAC = h.n.MAC(); return s }},
		{"another machine's address", `found 10.77.0.30, which belongs to \"tv\" (` + tvMAC.String() + ") already", func(h *night) machine.Spec {
			h.asleep(tv())
			return at("10.77.0.20", "10.77.0.30")
		}},
		{"any network", "none of its addresses (fe80::20,22/tcp) is in a network of eth0 or eth0", func(h *night) machine.Spec {
			h.open()
			return at("fe80::20")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			overnight(t, nil, func(h *night) {
				spec := c.spec(h)
				h.watch(spec)
				h.placeAgentless()
				r := h.byMAC[spec.MAC]
				// Somebody may still ask for it; the magic packet goes everywhere.
				h.tell(r, machine.WakeAsked{Trigger: machine.ByAPI, By: "test"})
				h.pass(time.Minute)
				if r.State() != machine.Awake || r.nic != nil || r.Status().Tally.Attempts != 1 {
					t.Errorf("it is %v, with %d magic packets", r.State(), r.Status().Tally.Attempts)
				}
				if n := strings.Count(h.log.String(), "cannot be watched"); n != 1 || !strings.Contains(h.log.String(), c.says) {
					t.Errorf("said %d times, want once with %q:\n%s", n, c.says, &h.log)
				}
			})
		})
	}
}

// The MAC or the address of an agentless machine is not to be had by registering.
func TestAddressOfAnAgentlessMachine(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.watch(mute())
		req := registration.Request{Spec: tv()}
		req.Monitor = append(req.Monitor, machine.Address{IP: nas6})
		if err := h.place(req); err == nil || !strings.Contains(err.Error(), `fd77::20 belongs to "nas" (`+nasMAC.String()+"), which is awake") {
			t.Errorf("place: %v", err)
		}
	})
}

// That our own interface is out says nothing about anybody.
func TestAgentlessInAnOutage(t *testing.T) {
	for _, settling := range []bool{false, true} {
		overnight(t, nil, func(h *night) {
			h.watch(mute())
			r, state := h.byMAC[nasMAC], machine.Awake
			h.hears(10 * time.Second)
			if settling {
				h.pass(8 * time.Second)
				state = machine.Settling
			}
			fault := "has no carrier"
			h.n.trouble.Store(&fault)
			h.pass(time.Hour)
			h.want(r, state)
			h.n.trouble.Store(nil)
			h.pass(2900 * time.Millisecond)
			h.want(r, state)
			h.pass(20 * time.Second)
			h.want(r, machine.Asleep, nas4, nas6)
			if n := strings.Count(h.log.String(), "cannot probe"); n > 1 || n > 0 && !settling {
				t.Errorf("the log says %d times of the machine what is true of the interface", n)
			}
		})
	}
}

// A switch may be slow to let anybody through after its link came up: that nobody
// answers meanwhile would have every machine claimed that nobody expects to sleep.
func TestAgentlessAfterAnOutage(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.watch(mute())
		r := h.byMAC[nasMAC]
		h.hears(10 * time.Second)
		h.lose(h.n, time.Now(), "has no carrier")
		h.n.again = time.Time{} // the test says when it is back
		h.pass(time.Minute)
		h.inspect(h.n, lan.Change{})
		h.pass(switchPause)
		h.want(r, machine.Awake)
		h.pass(11 * time.Second)
		h.want(r, machine.Asleep, nas4, nas6)
	})
}

// The journal knows it, the configuration speaks for it.
func TestAgentlessResume(t *testing.T) {
	overnight(t, nil, func(h *night) {
		mem := machine.Memory{State: machine.Asleep, Since: time.Now().Add(-time.Hour), Spec: mute()}
		mem.Tally.ExternalStarts = 7
		mem.Spec.Monitor = mem.Spec.Monitor[1:] // as it was then
		gone := machine.Memory{State: machine.Asleep, Since: time.Now().Add(-time.Hour), Spec: tv()}
		gone.Spec.Agentless = true
		far := mute()
		far.Name, far.MAC, far.Monitor = "far", thiefMAC, []machine.Address{{IP: netip.MustParseAddr("192.0.2.1")}}
		farther := machine.Memory{State: machine.Asleep, Since: time.Now().Add(-time.Hour), Spec: far}
		h.know(t, mute(), tv(), far)
		h.Porter.Resume(h.journal, journal.Past{Until: time.Now(), Machines: []machine.Memory{mem, gone, farther}})
		h.publish()
		r := h.byMAC[nasMAC]
		h.want(r, machine.Settling)
		h.pass(time.Second)
		h.want(r, machine.Asleep, nas4, nas6)
		if s := r.Status(); s.Slept(time.Now()) < time.Hour || s.Tally.ExternalStarts != 7 || r.configured == nil {
			t.Errorf("slept %v, configured: %t, tally %+v", s.Slept(time.Now()), r.configured != nil, s.Tally)
		}
		h.frame(syn(nas4, 22))
		h.want(r, machine.Waking, nas4, nas6)
		// One that is agentless no more waits for its registration.
		if r := h.byMAC[tvMAC]; r.State() != machine.Awake || r.nic != nil {
			t.Errorf("tv is %v", r.State())
		}
		records := h.journal.(*notebook).records
		if !slices.ContainsFunc(records, func(r journal.Record) bool { return r.Forgotten == tvMAC }) {
			t.Error("the journal goes on to remember a machine that is agentless no more")
		}
		// One that cannot be seen at present is not forgotten.
		h.tell(h.byMAC[thiefMAC], machine.WakeAsked{Trigger: machine.ByAPI, By: "test"})
		records = h.journal.(*notebook).records
		last := records[len(records)-1]
		h.pass(time.Minute)
		if mem := last.Memory; mem == nil || mem.Spec.MAC != thiefMAC || mem.State != machine.Asleep || !mem.Since.Equal(farther.Since) {
			t.Errorf("far is remembered as %+v", mem)
		}
	})
}

func TestForgetAnAgentlessMachine(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.watch(mute())
		h.pass(20 * time.Second)
		old := h.byMAC[nasMAC]
		h.want(old, machine.Asleep, nas4, nas6)
		h.told(nas4)
		h.tell(old, machine.Stopped{})
		h.forget(old, "test")
		h.publish()
		r := h.byMAC[nasMAC]
		h.want(r, machine.Awake)
		if owners := h.told(nas4); r == old || !slices.Equal(owners, []machine.MAC{nasMAC}) {
			t.Errorf("announced at %v", owners)
		}
		h.pass(20 * time.Second)
		h.want(r, machine.Asleep, nas4, nas6)
	})
}

// Without wake.keep it is released, and claimed again only after it was silent for
// as long as any: no faster than that does it go round.
func TestAgentlessWhoseWakeFails(t *testing.T) {
	overnight(t, func(c *config.Config) { c.Wake.Attempts, c.Wake.Interval, c.Wake.Keep = 1, time.Second, false }, func(h *night) {
		h.watch(mute())
		h.pass(20 * time.Second)
		h.frame(syn(nas4, 22))
		h.pass(1001 * time.Millisecond)
		r := h.byMAC[nasMAC]
		h.want(r, machine.Awake)
		h.pass(5 * time.Second)
		if r.State() == machine.Asleep {
			t.Error("claimed again at once")
		}
		h.pass(7 * time.Second)
		h.want(r, machine.Asleep, nas4, nas6)
		h.frame(syn(nas4, 22))
		h.want(r, machine.Waking, nas4, nas6)
	})
}
