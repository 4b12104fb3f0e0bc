package registration_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"nightporter/internal/registration"
)

// A trial is answered, and neither counted nor taken for a refusal.
func TestTrial(t *testing.T) {
	var verdict error
	d := newTestServer(t, "127.0.0.1:0", config(), func(_ context.Context, r registration.Request, _ registration.Peer) error {
		if !r.Trial {
			return errors.New("not a trial")
		}
		return verdict
	})
	for _, tt := range []struct {
		verdict error
		answer  string
		refused string
	}{
		{&registration.Acceptable{Name: "tower"}, `the porter would accept it as "tower"`, ""},
		{&registration.Acceptable{Name: "tower-2", Renamed: "it is taken", Wait: []string{"192.0.2.1: it is out", "192.0.2.2: it is out"}},
			`the porter would accept it as "tower-2", since it is taken; would wait: 192.0.2.1: it is out; 192.0.2.2: it is out`, ""},
		{errors.New("not you"), "", "the porter refused: not you"},
	} {
		verdict = tt.verdict
		answer, err := registration.Try(t.Context(), d.addr, goodWire())
		if answer != tt.answer || (err == nil) != (tt.refused == "") || err != nil && err.Error() != tt.refused {
			t.Errorf("answered %q, %v; want %q, %q", answer, err, tt.answer, tt.refused)
		}
	}
	d.stop()
	if len(d.outcomes) > 0 {
		t.Errorf("counted %v", d.outcomes)
	}
	if log := d.log.String(); strings.Contains(log, "registration refused") || strings.Count(log, "event=registration_checked") != 3 {
		t.Errorf("logged\n%s", log)
	}
}

// A porter that does not know of trials has registered the machine.
func TestTrialOfAnOlderPorter(t *testing.T) {
	d := newTestServer(t, "127.0.0.1:0", config(), accept)
	if answer, err := registration.Try(t.Context(), d.addr, goodWire()); err == nil || !strings.HasPrefix(err.Error(), "the porter is older than this command: it has registered the machine") {
		t.Errorf("answered %q, %v", answer, err)
	}
}

func TestTrialIsTrueOrFalse(t *testing.T) {
	for body, want := range map[string]bool{`,"check":true}`: true, `,"check":false}`: false, `,"check":null}`: false, "}": false} {
		r, err := registration.Decode([]byte(`{"mac":"d8:cb:8a:39:be:a1"`+body), registration.Defaults{})
		if err != nil || r.Trial != want || len(r.Warnings) > 0 {
			t.Errorf("%s: %+v, %v", body, r, err)
		}
	}
	_, err := registration.Decode([]byte(`{"mac":"d8:cb:8a:39:be:a1","check":1}`), registration.Defaults{})
	if err == nil || err.Error() != "check: found 1: expected true (check only, register nothing) or false" {
		t.Error(err)
	}
}
