package porter

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/fastpath"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

func TestConfigure(t *testing.T) {
	t.Run("a machine that has not registered becomes what the configuration says", func(t *testing.T) {
		p, reg := vacant(t, nil)
		p.know(t, nas())
		renamed := nas()
		renamed.Name, renamed.IdleWatts = "tower", 80
		p.know(t, renamed)
		p.wantNames(t, "tower")
		r := p.machines["tower"]
		if spec := r.Spec(); spec.IdleWatts != 80 || r.State() != machine.Awake || r.nic != nil || p.byMAC[nasMAC] != r {
			t.Errorf("%s is %v with %v W", spec.Name, r.State(), spec.IdleWatts)
		}
		if series(t, reg, "nightporter_machine_boot_duration_seconds", "nas") != 0 ||
			series(t, reg, "nightporter_machine_boot_duration_seconds", "tower") != 1 {
			t.Error("the series did not follow the name")
		}
	})
	t.Run("a machine that has registered keeps what it said", func(t *testing.T) {
		p, _ := vacant(t, nil)
		r := p.settle(nas())
		conf := nas()
		conf.Name, conf.IdleWatts = "tower", 80
		p.know(t, conf)
		p.wantNames(t, "nas")
		if p.byMAC[nasMAC] != r || r.Spec().IdleWatts != 50 || r.State() != machine.Settling {
			t.Errorf("it is %v with %v W", r.State(), r.Spec().IdleWatts)
		}
		if r.configured == nil || r.configured.Name != "tower" {
			t.Errorf("configured as %v", r.configured)
		}
		p.know(t) // and stays when the configuration forgets it
		p.wantNames(t, "nas")
		if r.configured != nil {
			t.Errorf("configured as %v by nothing", r.configured)
		}
	})
}

// Two machines never share a name, whatever is configured and registered.
func TestNamesOfTheConfiguration(t *testing.T) {
	named := func(spec machine.Spec, name string) machine.Spec { spec.Name = name; return spec }
	t.Run("a name that is registered already", func(t *testing.T) {
		p, _ := vacant(t, nil)
		p.know(t, named(tv(), "tele"))
		p.settle(nas())
		err := p.configure([]machine.Spec{{Name: "attic", MAC: thiefMAC}, named(tv(), "nas")})
		if err == nil || !strings.Contains(err.Error(), `machines[1].name: found "nas": `+nasMAC.String()) {
			t.Errorf("configured: %v", err)
		}
		p.wantNames(t, "nas", "tele") // nothing has changed
	})
	t.Run("two machines swap their names", func(t *testing.T) {
		p, reg := vacant(t, nil)
		p.know(t, nas(), tv())
		p.know(t, named(nas(), "tv"), named(tv(), "nas"))
		p.wantNames(t, "nas", "tv")
		if p.machines["tv"].Spec().MAC != nasMAC || series(t, reg, "nightporter_machine_ready_duration_seconds", "tv") != 1 {
			t.Error("the names or the series were not swapped")
		}
	})
	t.Run("a new card in a machine that has not registered", func(t *testing.T) {
		p, _ := vacant(t, nil)
		p.know(t, nas())
		replaced := nas()
		replaced.MAC = tvMAC
		p.know(t, replaced)
		p.wantNames(t, "nas")
	})
	t.Run("a name of the configuration that its machine does not use", func(t *testing.T) {
		p, _ := vacant(t, nil)
		renamed := p.settle(tv())
		p.know(t, named(tv(), "nas"))
		if err := p.place(registration.Request{Spec: nas()}); err == nil {
			p.settle(nas())
		}
		p.forget(renamed, "test")
		if p.wantNames(t, "nas"); p.machines["nas"].Spec().MAC != tvMAC {
			t.Error("another machine got the name that the configuration keeps")
		}
	})
}

func TestForget(t *testing.T) {
	t.Run("nothing of a machine stays", func(t *testing.T) {
		p, reg := vacant(t, nil)
		r := p.settle(nas())
		p.timers.Set(r, time.Now())
		p.forget(r, "test")
		p.wantNames(t)
		if len(p.byMAC) != 0 || !p.timers.Next().IsZero() || !r.nic.stale {
			t.Errorf("%d MACs known, next timer %v, view stale: %t", len(p.byMAC), p.timers.Next(), r.nic.stale)
		}
		if n := series(t, reg, "nightporter_machine_ready_duration_seconds", "nas"); n != 0 {
			t.Errorf("%d series of a machine that was forgotten", n)
		}
		// A frame that was on its way moves nobody.
		p.see(fastpath.Sighting{Kind: fastpath.SawFrame, Target: r.newTarget(nas())})
	})
	t.Run("the configuration brings it back", func(t *testing.T) {
		p, reg := vacant(t, nil)
		conf := nas()
		conf.Name = "tower"
		r := p.settle(nas())
		p.know(t, conf)
		p.forget(r, "test")
		p.wantNames(t, "tower")
		if back := p.byMAC[nasMAC]; back == r || back.nic != nil || back.State() != machine.Awake {
			t.Errorf("it came back as %v", back.Status())
		}
		if n := series(t, reg, "nightporter_machine_ready_duration_seconds", "tower"); n != 1 {
			t.Errorf("%d series of the machine that came back", n)
		}
		p.know(t)
		p.wantNames(t)
	})
}

// wantNames fails the test unless exactly these machines are known, and
// both of its lists agree.
func (p *Porter) wantNames(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, r := range p.sorted() {
		got = append(got, r.name())
		if p.machines[r.name()] != r || p.byMAC[r.Spec().MAC] != r {
			t.Errorf("the lists disagree about %s", r.name())
		}
	}
	if len(p.byMAC) != len(p.machines) {
		t.Errorf("%d machines by MAC, %d by name", len(p.byMAC), len(p.machines))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("machines (-want +got):\n%s", diff)
	}
}
