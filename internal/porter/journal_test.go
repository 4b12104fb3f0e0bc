package porter

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// notebook is an event log that forgets with the process.
type notebook struct {
	mu      sync.Mutex
	records []journal.Record
	fails   error
}

func (n *notebook) Append(r journal.Record) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	r.Event.Seq = uint64(len(n.records) + 1)
	n.records = append(n.records, r)
	return r.Event.Seq
}

func (n *notebook) Sync(context.Context) error { return n.fails }

func (n *notebook) Healthy() error { return n.fails }

func (n *notebook) Events(uint64, string, int) []journal.Event { return nil }

func (n *notebook) Follow(context.Context) <-chan journal.Event { return nil }

// told returns what happened, in a line each.
func (n *notebook) told() (lines []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.records {
		e := r.Event
		words := []string{string(e.Kind)}
		for _, s := range []string{e.Machine, e.Service, e.By, e.Trigger, e.Reason} {
			if s != "" {
				words = append(words, s)
			}
		}
		if e.Source.IsValid() {
			words = append(words, "from "+e.Source.String())
		}
		for name, d := range map[string]time.Duration{"boot": e.Boot, "slept": e.Slept} {
			if d > 0 {
				words = append(words, name+" "+d.Round(time.Second).String())
			}
		}
		if r.Memory != nil {
			words = append(words, "("+r.Memory.State.String()+")")
		}
		lines = append(lines, strings.Join(words, ", "))
	}
	return lines
}

// The journal tells a night, and knows the machine after each transition.
func TestHistoryOfANight(t *testing.T) {
	overnight(t, nil, func(h *night) {
		notes := h.journal.(*notebook)
		r := h.asleep(nas())
		h.pass(57 * time.Second)
		h.frame(syn(nas4, 22))
		h.pass(5 * time.Second)
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
		h.frame(h.accepts(nas4, 22))
		h.tell(r, machine.WakeAsked{Trigger: machine.ByAPI, By: "test"})
		h.register(nas())
		h.forget(r, "test")
		want := []string{
			"registered, nas, registered, (settling)",
			"asleep, nas, fell silent, (asleep)",
			"knock, nas, 10.77.0.20:22/tcp, tcp, from 10.77.0.10:40000",
			"magic, nas, (waking)",
			"arrived, nas, spoke for its address, (arriving)",
			"ready, nas, 10.77.0.20:22/tcp, tcp, ready, from 10.77.0.10:40000, boot 5s, (awake)",
			"magic, nas, (awake)",
			"registered, nas, registered, (settling)",
			"forgotten, nas, test",
		}
		if diff := cmp.Diff(want, notes.told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if last := notes.records[len(notes.records)-1]; last.Forgotten != nasMAC {
			t.Errorf("the last record forgets %v", last.Forgotten)
		}
	})
}

// Nobody is told OK whose registration would be lost.
func TestRegistrationThatCannotBeStored(t *testing.T) {
	p, _ := vacant(t, nil)
	p.journal = &notebook{fails: errors.New("no space left on device")}
	err := p.kept(t.Context())
	var refusal *registration.Refusal
	if !errors.As(err, &refusal) || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("said %v", err)
	}
}

// What was here before the restart is here again, as far as it may be.
func TestResume(t *testing.T) {
	overnight(t, nil, func(h *night) {
		mem := func(name string, mac machine.MAC, ip netip.Addr) machine.Memory {
			return machine.Memory{State: machine.Asleep, Since: time.Now().Add(-time.Hour), Registered: time.Now().Add(-2 * time.Hour),
				Spec: machine.Spec{Name: name, MAC: mac, Monitor: []machine.Address{{IP: ip, Ports: []machine.Port{ssh}}}}}
		}
		gateway := netip.MustParseAddr("10.77.0.1")
		configured := tv()
		if err := h.configure([]machine.Spec{configured}); err != nil {
			t.Fatal(err)
		}
		h.Porter.Resume(h.journal, journal.Past{Until: time.Now(), Machines: []machine.Memory{
			mem("nas", nasMAC, nas4), mem("tv", tvMAC, tv4),
			mem("router", thiefMAC, gateway), mem("far", passerMAC, netip.MustParseAddr("192.0.2.1")), mem("us", clientMAC, porter4),
		}})
		h.publish()
		h.wantNames(t, "nas", "tv")
		h.pass(time.Second)
		h.want(h.byMAC[nasMAC], machine.Asleep, nas4)
		h.want(h.byMAC[tvMAC], machine.Asleep, tv4)
		if h.byMAC[tvMAC].configured == nil {
			t.Error("the configuration's machine is none any more")
		}
		if s := h.byMAC[nasMAC].Status(); s.Slept(time.Now()) < time.Hour {
			t.Errorf("slept %v", s.Slept(time.Now()))
		}
		h.frame(syn(nas4, 22))
		h.want(h.byMAC[nasMAC], machine.Waking, nas4)
	})
}
