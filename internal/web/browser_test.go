package web_test

import (
	"testing"
)

// live is true once the page follows what happens.
const live = `document.getElementById("link").dataset.link === "live"`

func TestPictures(t *testing.T) {
	b := visit(t, newLively(), nil)
	b.Go(home)
	b.Until(live)
	for _, p := range []struct {
		name          string
		width, height int64
		dark          bool
	}{
		{"page", 1200, 1000, false}, {"page-dark", 1200, 1000, true}, {"phone", 390, 844, false}, {"phone-dark", 390, 844, true}, {"tablet", 900, 1000, false},
	} {
		b.Look(p.width, p.height, p.dark)
		b.Picture(p.name, true)
	}
	if c := b.Complaints(); len(c) > 0 {
		t.Errorf("complaints: %q", c)
	}
}
