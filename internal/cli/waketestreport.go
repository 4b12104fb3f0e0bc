package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// stepPrinter prints the steps of a test as text or as JSON.
type stepPrinter struct{ out, json io.Writer }

// stepJSON is one line of the output with --json.
type stepJSON struct {
	Result string `json:"result"`
	Text   string `json:"text"`
}

// stepResults are the results in JSON by the marks in text.
var stepResults = map[string]string{"ok": "ok", "...": "waiting", "FAILED": "failed", "!": "warning", "-": "untested"}

func newStepPrinter(w io.Writer, inJSON bool) stepPrinter {
	if inJSON {
		return stepPrinter{out: io.Discard, json: w}
	}
	return stepPrinter{out: w, json: io.Discard}
}

func (r stepPrinter) ok(format string, args ...any)     { r.line("ok", format, args) }
func (r stepPrinter) wait(format string, args ...any)   { r.line("...", format, args) }
func (r stepPrinter) failed(format string, args ...any) { r.line("FAILED", format, args) }

func (r stepPrinter) line(mark, format string, args []any) {
	text := fmt.Sprintf(format, args...)
	// An error of the output is ignored: the exit code has the result.
	fmt.Fprintf(r.out, "%-7s %s\n", mark, text)
	_ = json.NewEncoder(r.json).Encode(stepJSON{stepResults[mark], text})
}

// fail prints why the test failed, and returns exit code 1.
func (r stepPrinter) fail(format string, args ...any) error {
	r.failed(format, args...)
	return exitCode(1)
}

// took says how long after from the time at was. It is empty if that is unknown.
func took(at, from time.Time) string {
	if from.IsZero() || at.Before(from) {
		return ""
	}
	return fmt.Sprintf(" after %.1f s", at.Sub(from).Seconds())
}

// checkMachine prints the porter's data about the machine. It returns an error if a test is
// impossible.
func (r stepPrinter) checkMachine(m *web.Machine) error {
	name := printable(m.Name)
	switch {
	case m.PausedUntil != "":
		return r.fail("%s is paused until %s: end that with `%s`", name, localTime(m.PausedUntil), resumeOf(m.Name))
	case m.Agentless:
		r.ok("%s is known by the configuration: it need not register", name)
	case m.RegisteredAt == "":
		return r.fail("%s has not registered: run `nightporter register --watch` on it, or set agentless: true", name)
	default:
		r.ok("%s has registered, last at %s", name, localTime(m.RegisteredAt))
	}
	stuck := 0
	for _, a := range m.Addresses {
		if a.Stuck() {
			stuck++
			r.line("!", "%s", []any{a.IP + " cannot be claimed: " + printable(a.Reason)})
			continue
		}
		r.ok("%s can be claimed", a.IP)
	}
	if stuck == len(m.Addresses) {
		return r.fail("none of its addresses can be claimed, so the porter cannot answer for it")
	}
	switch {
	case m.State == machine.Awake && m.HeardAt == "":
		r.line("!", "it has not been heard yet: is it up, and is %s its MAC?", []any{m.MAC})
	case m.State == machine.Awake:
		r.ok("it is awake, heard last at %s", localTime(m.HeardAt))
	}
	return nil
}

// wakeMAC returns the MAC address in the magic packets.
func (t *wakeTest) wakeMAC() ether.MAC {
	if t.machine.WakeMAC != (ether.MAC{}) {
		return t.machine.WakeMAC
	}
	return t.machine.MAC
}

// reportReady ends the test of a machine that is up.
func (t *wakeTest) reportReady(e journal.Event) error {
	if e.Ready <= 0 {
		for _, s := range t.unprobed("/tcp") {
			t.failed("%s accepts no connection: does the service start with the machine, and does the firewall allow the porter?", s)
		}
		return t.fail("Wake-on-LAN works, but not every service was ready%s", took(e.At, t.firstMagic))
	}
	for _, s := range t.unprobed("/tcp") {
		t.line("-", "%s", []any{s + " was not checked: a client woke the machine, too"})
	}
	for _, s := range t.unprobed("/udp") {
		t.line("-", "%s", []any{s + " is not tested: only a client's own datagram can probe it"})
	}
	limit, took := time.Duration(t.machine.WakeTimeout*float64(time.Second)), e.Ready
	if limit > 0 && took > limit*4/5 {
		t.ok("Wake-on-LAN works: ready after %.1f s. That is close to wake.timeout (%v): raise it", took.Seconds(), limit)
	} else {
		t.ok("Wake-on-LAN works: ready after %.1f s; wake.timeout of %v is enough", took.Seconds(), limit)
	}
	return errPassed
}

// unprobed returns the services of a protocol that have not been ready in this test.
func (t *wakeTest) unprobed(protocol string) (services []string) {
	for _, a := range t.machine.Monitor {
		for _, port := range a.Port {
			if s := net.JoinHostPort(a.IP, port); strings.HasSuffix(port, protocol) && !t.ready[s] {
				services = append(services, printable(s))
			}
		}
	}
	return services
}

// reportFailure prints what to check.
func (t *wakeTest) reportFailure(e journal.Event) error {
	t.failed("%s %s%s", printable(t.name), web.DidNotWake(e.Attempts), took(e.At, t.firstMagic))
	fmt.Fprintf(t.out, `Check these, in this order:
  * power and network cable: is the light of the network port on while the machine is off?
  * firmware (BIOS, UEFI): Wake-on-LAN or "power on by PCI-E" on, "ErP" and "deep sleep" off
  * Linux: ethtool eth0 has to show "Wake-on: g"; ethtool -s eth0 wol g sets that until the next start
  * Windows: "Wake on Magic Packet" of the network adapter on, Fast Startup off
  * the network card: the packets were for %s; another card needs wake_mac
`, t.wakeMAC())
	return exitCode(1)
}

// reportTimeout prints which step did not happen in time.
func (t *wakeTest) reportTimeout() {
	name := printable(t.name)
	switch {
	case t.firstMagic.IsZero() && t.settledAt.IsZero():
		t.failed("%s was not put to sleep within %v", name, t.timeout)
	case t.firstMagic.IsZero():
		t.failed("%s is not off after %v: it still answers", name, t.timeout)
	default:
		t.failed("%s is not ready after %v", name, t.timeout)
	}
}
