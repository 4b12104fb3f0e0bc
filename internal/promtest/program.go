package promtest

import (
	"io"
	"os"
	"os/exec"
	"testing"
)

// The programs that tests ask for, and Debian's packages that have them.
const (
	Promtool     = "promtool"                // prometheus
	Prometheus   = "prometheus"              // prometheus
	Amtool       = "amtool"                  // prometheus-alertmanager
	Alertmanager = "prometheus-alertmanager" // prometheus-alertmanager
)

// Need skips the test where there is no such program, one of these or another. In CI that is a failure: a
// skip would hide that nothing was proved. With -short no test runs a program.
func Need(tb testing.TB, program string) {
	tb.Helper()
	if testing.Short() {
		tb.Skipf("needs %s: not with -short", program)
	}
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		tb.Fatalf("no %s in PATH: expected what .ci/tools installs: %v", program, err)
	default:
		tb.Skipf("not tested: no %s in PATH: %v", program, err)
	}
}

// Run runs a program that Need has found, with what it is to read, and returns
// what it said. It is an error of the test if the program is not content.
func Run(tb testing.TB, stdin io.Reader, program string, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), program, args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Errorf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}
