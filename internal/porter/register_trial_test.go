package porter

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// A trial is judged as a registration is, and changes nothing, whatever machines are known.
func TestTrialChangesNothing(t *testing.T) {
	onLab(t, nil, func(x *fixture) {
		defer x.serve()()
		nasUp := x.up(nas())
		trial := func(spec machine.Spec) error {
			req := request(spec)
			req.Trial = true
			return x.registers(req)
		}
		wantAcceptable(t, trial(at(nas(), nas4, far4)), &registration.Acceptable{Name: "nas", Wait: []string{
			far4.String() + ": it is not in a network of the porter's interface"}})
		if all := x.porter.Machines(); len(all) > 0 || len(x.events.records) > 0 {
			t.Fatalf("it knows %v, and noted %q", all, x.events.lines())
		}
		wantRefused(t, trial(at(tv(), tv4)), "no host answers for 10.77.0.30")

		if err := x.registers(request(at(nas(), nas4))); err != nil {
			t.Fatal(err)
		}
		x.down(nasUp)
		time.Sleep(5 * time.Second)
		before, noted := x.porter.Machines(), len(x.events.records)
		x.up(tv())
		wantAcceptable(t, trial(at(named(tv(), "nas"), tv4)), &registration.Acceptable{Name: "nas-2",
			Renamed: `the name "nas" belongs to ` + nasMAC.String() + " already (`nightporter forget nas` on the porter)"})
		after := x.porter.Machines()
		if len(before) != 1 || before[0].State != machine.Asleep || len(after) != 1 || after[0].State != machine.Asleep ||
			after[0].Name != "nas" || len(x.events.records) != noted {
			t.Errorf("it knew %+v, and knows %+v; noted %q", before, after, x.events.lines()[noted:])
		}
	})
}

// wantAcceptable fails the test unless a trial would have been accepted in those words.
func wantAcceptable(t *testing.T, err error, want *registration.Acceptable) {
	t.Helper()
	would, ok := errors.AsType[*registration.Acceptable](err)
	if !ok {
		t.Fatalf("refused: %v", err)
	}
	if diff := cmp.Diff(want, would); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
