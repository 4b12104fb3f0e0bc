package journal

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// What a service has of its own is a promise to every other version as well.
func TestSettingsAreKept(t *testing.T) {
	ssh, web := machine.Port{Protocol: machine.TCP, Number: 22}, machine.Port{Protocol: machine.TCP, Number: 80}
	m := memoryOf(1)
	a := &m.Spec.Monitor[0]
	a.Ports = append(a.Ports, web)
	a.Set([]machine.Port{ssh}, machine.Settings{Established: new(bool), WakeFrom: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}})
	a.Set([]machine.Port{web}, machine.Settings{Ready: machine.Ready{By: machine.ByHTTP, Path: "/health", Status: 204}, ReadyTimeout: 3 * time.Minute})
	dir := t.TempDir()
	j, _, _ := opened(t, dir)
	j.Append(Record{Memory: m})
	closed(t, j)
	const want = `"ports":["22/tcp","icmp","80/tcp"],"settings":{"22/tcp":{"established":false,"wake_from":["10.77.0.0/24"]},` +
		`"80/tcp":{"ready":"http:/health=204","ready_timeout":"3m0s"}}}`
	b, err := os.ReadFile(fileIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	if file := string(b); !strings.Contains(file, want) {
		t.Errorf("the file lacks %s:\n%s", want, file)
	}
	_, past, _ := opened(t, dir)
	same(t, "the machine", past.Machines[0].Spec, m.Spec)
}
