package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// Tests named TestField are cases that were reported of similar tools.

const (
	// fieldProbe counts a machine as off after 0.6 s without an answer if it has registered.
	fieldProbe = "probe: {interval: 300ms, misses: 2}\n"
	// forgotten is fieldProbe with a probe.timeout of 2 s, after which a registration no longer
	// explains silence.
	forgotten = "probe: {interval: 300ms, misses: 2, timeout: 2s}\n"
	// frequentWatch probes awake machines ten times as often as the default.
	frequentWatch = "watch: {interval: 1s}\n"
	// slack is the delay that a busy computer may add.
	slack = time.Second
)

// address is an address of a machine in the API.
type address struct {
	IP               netip.Addr
	Standing, Reason string
}

// knownState is a machine in the API, with the fields that these tests use.
type knownState struct {
	Name         string
	MAC          ether.MAC
	WakeMAC      ether.MAC `json:"wake_mac"`
	State        machine.State
	SleptSeconds float64 `json:"slept_seconds"`
	Addresses    []address
}

// getInside reads a page of the API by the loopback, because the porter's addresses may be
// missing.
func getInside(h *harness, path string, into any) {
	h.Helper()
	status, text, err := h.daemon.GetInside(h.within(5*time.Second), path)
	h.must(err)
	if status != 200 {
		h.Fatalf("%s answered %d: %s", path, status, text)
	}
	h.must(json.Unmarshal([]byte(text), into))
}

// knownMachines returns the machines in the API.
func knownMachines(h *harness) (all []knownState) {
	h.Helper()
	getInside(h, "/api/v1/machines", &all)
	return all
}

// knownMachine returns the machine of a name. The test ends if it is unknown.
func knownMachine(h *harness, name string) knownState {
	h.Helper()
	all := knownMachines(h)
	i := slices.IndexFunc(all, func(m knownState) bool { return m.Name == name })
	if i < 0 {
		h.Fatalf("%s is unknown", name)
	}
	return all[i]
}

func (k knownState) address(ip netip.Addr) address {
	i := slices.IndexFunc(k.Addresses, func(a address) bool { return a.IP == ip })
	if i < 0 {
		return address{IP: ip, Standing: "not told"}
	}
	return k.Addresses[i]
}

// waitStanding waits until an address of nas has one of the standings.
func waitStanding(h *harness, limit time.Duration, ip netip.Addr, standings ...string) address {
	h.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		a := knownMachine(h, "nas").address(ip)
		if slices.Contains(standings, a.Standing) {
			return a
		}
		if time.Now().After(deadline) {
			h.Fatalf("%v stands as %q (%s) after %v, want %q", ip, a.Standing, a.Reason, limit, standings)
		}
	}
}

// events returns the events of a machine, of one kind.
func (h *harness) events(name string, kind journal.Kind) (found []journal.Event) {
	h.Helper()
	var all []journal.Event
	getInside(h, "/api/v1/events?limit=1000&machine="+name, &all)
	for _, e := range all {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// waitAPIEvent waits for an event that matches.
func (h *harness) waitAPIEvent(name string, kind journal.Kind, match func(journal.Event) bool) journal.Event {
	h.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all := h.events(name, kind)
		if i := slices.IndexFunc(all, match); i >= 0 {
			return all[i]
		}
		if time.Now().After(deadline) {
			h.Fatalf("no event %q that fits, only %+v", kind, all)
		}
	}
}

// aboutAddress matches an event of an address.
func aboutAddress(ip netip.Addr) func(journal.Event) bool {
	return func(e journal.Event) bool { return e.IP == ip }
}

// countMoves returns how often a machine changed to a state after the first n entries.
func countMoves(h *harness, n int, name, to string) (count int) {
	for _, e := range h.daemon.Log.Entries(n) {
		if labdaemon.Moved(name, "", to, "")(e) {
			count++
		}
	}
	return count
}

// waitState waits until a machine changes to a state, for any reason.
func (h *harness) waitState(limit time.Duration, n int, name, to string) labdaemon.Entry {
	h.Helper()
	e, err := h.daemon.Log.Wait(h.within(limit), n, labdaemon.Moved(name, "", to, ""))
	if err != nil {
		h.Fatalf("%s is not %s after %v, but went %v", name, to, limit, h.transitions(n, name))
	}
	return e
}

// transitions returns the states of a machine after the first n entries, for messages.
func (h *harness) transitions(n int, name string) (states []string) {
	for _, e := range h.daemon.Log.Entries(n) {
		if e.Field("machine") == name && e.Field("to") != "" {
			states = append(states, fmt.Sprintf("%s %s (%s)", e.Time.Format("05.000"), e.Field("to"), e.Field("reason")))
		}
	}
	return states
}

// wantNoLine expects no matching log line for a while.
func wantNoLine(h *harness, d time.Duration, n int, what string, match func(labdaemon.Entry) bool) {
	h.Helper()
	if e, err := h.daemon.Log.Wait(h.within(d), n, match); err == nil {
		h.Fatalf("%s: %q %v", what, e.Message, e.Fields)
	}
}

// lineSays matches a log line of one of the levels that has all words in its message or fields.
func lineSays(levels string, words ...string) func(labdaemon.Entry) bool {
	return func(e labdaemon.Entry) bool {
		return strings.Contains(levels, e.Level) && contains(e.Message+fmt.Sprint(e.Fields), words...)
	}
}

// waitLine waits for a log line of one of the levels with all words.
func waitLine(h *harness, n int, levels string, words ...string) {
	h.Helper()
	if _, err := h.daemon.Log.Wait(h.within(10*time.Second), n, lineSays(levels, words...)); err != nil {
		h.Fatalf("no line of %s with %q", levels, words)
	}
}

// waitInterfaceEvent waits for an event of an interface after the first n lines.
func (h *harness) waitInterfaceEvent(n int, event, ifi string, words ...string) labdaemon.Entry {
	h.Helper()
	e, err := h.daemon.Log.Wait(h.within(10*time.Second), n, func(e labdaemon.Entry) bool {
		return e.Field("event") == event && e.Field("interface") == ifi && contains(e.Field("reason"), words...)
	})
	h.must(err)
	return e
}
