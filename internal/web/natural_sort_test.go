package web_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"nightporter/internal/web"
)

func TestNaturalOrder(t *testing.T) {
	want := []string{"a b c", "backup", "Büro-PC", "NAS", "nas", "nas2", "vm-2", "VM-02b", "vm-10", "vm-10a"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, web.Naturally)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// It is an order, whatever the names are: only equal ones are alike.
func TestNaturalOrderIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[aA0-9ü\x80 ]{0,6}`)
		a, b, c := name.Draw(t, "a"), name.Draw(t, "b"), name.Draw(t, "c")
		if ab, ba := web.Naturally(a, b), web.Naturally(b, a); ab != -ba || (ab == 0) != (a == b) {
			t.Fatalf("%q and %q: %d and %d", a, b, ab, ba)
		}
		if web.Naturally(a, b) <= 0 && web.Naturally(b, c) <= 0 && web.Naturally(a, c) > 0 {
			t.Fatalf("%q <= %q <= %q, but not the first and the last", a, b, c)
		}
	})
}
