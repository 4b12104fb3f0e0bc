package lan_test

import (
	"fmt"
	"os"
	"testing"

	"nightporter/internal/lab"
)

// TestMain lets the tests make namespaces without root, where the kernel allows
// it.
func TestMain(m *testing.M) {
	code, elsewhere, err := lab.EnterUserNamespace()
	if elsewhere {
		os.Exit(code)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "no user namespace:", err) // each test that needs one says so
	}
	os.Exit(m.Run())
}
