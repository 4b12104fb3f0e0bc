package guard

import (
	"os"
	"testing"

	"nightporter/internal/lab/labtest"
)

func TestMain(m *testing.M) {
	labtest.Enter()
	os.Exit(m.Run())
}
