package lab_test

import (
	"testing"

	"nightporter/internal/lab"
)

// TestLabIsThere says in one line whether end-to-end tests ran here; the
// Makefile shows it.
func TestLabIsThere(t *testing.T) {
	if err := lab.Available(); err != nil {
		skip(t, "end-to-end tests were SKIPPED, no LAN can be built here: "+err.Error())
	}
	t.Log("end-to-end tests ran: a LAN can be built here")
}
