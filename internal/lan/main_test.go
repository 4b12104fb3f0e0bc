package lan_test

import (
	"os"
	"testing"

	"nightporter/internal/lab/labtest"
)

// TestMain lets the tests make namespaces without root, where the kernel allows
// it.
func TestMain(m *testing.M) {
	labtest.Enter()
	os.Exit(m.Run())
}
