package web

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// ignoredJSON are packets that did not wake a machine, as the API shows them.
type ignoredJSON struct {
	Reason  string         `json:"reason"`  // of machine.Suppressions; a newer porter may have more
	Service string         `json:"service"` // empty: several ports
	Source  netip.AddrPort `json:"source"`
	First   string         `json:"first"` // RFC 3339
	Last    string         `json:"last"`  // RFC 3339
	Count   uint64         `json:"count"`
}

func ignoredOf(all []machine.Ignored) []ignoredJSON {
	out := make([]ignoredJSON, len(all))
	for i, at := range all {
		out[i] = ignoredJSON{
			Reason: at.Reason.String(), Service: at.Target(), Source: at.Source, First: rfc3339(at.First), Last: rfc3339(at.Last), Count: at.Count,
		}
	}
	return out
}

// Because says why the packets did not wake.
func (i *ignoredJSON) Because() string { return cmp.Or(because[i.Reason], i.Reason) }

// because says why packets do not wake, by the name of a machine.Suppression.
var because = map[string]string{
	machine.TooFewKnocks.String():      "there were fewer than wake.min_knocks",
	machine.InQuietHours.String():      "it was in wake.quiet_hours",
	machine.WhileCooling.String():      "it was within wake.cooldown, and opens no connection",
	machine.AfterFailures.String():     "the last wakes failed, and the next attempt is delayed",
	machine.FromThisHost.String():      "a program of the porter's host sent it, and wake.local is false",
	machine.PortNotRegistered.String(): "the port is not registered",
	machine.SourceNotAllowed.String():  "this source may not wake it",
	machine.PingNotRegistered.String(): "icmp is not registered",
	machine.OldConnection.String():     "it opens no connection, and wake.established is false or it carries no data",
}

// suppressedInWords tells of packets that did not wake. The reason is the name of a
// machine.Suppression, with the key of the configuration for some.
func suppressedInWords(e journal.Event) string {
	why, known := because[strings.TrimPrefix(e.Reason, "wake.")]
	switch {
	case !known:
		why = e.Reason
	case e.Service == "":
		return fmt.Sprintf("packets from %s and others, for more ports, do not wake: %s", e.Source.Addr(), why)
	case e.Reason == "wake."+machine.FromThisHost.String():
		return fmt.Sprintf("packet for %s does not wake: %s", e.Service, why)
	}
	return fmt.Sprintf("packet from %s for %s does not wake%s", source(e.Source), e.Service, ifAny(": ", why))
}

// settingFor names the setting that would have the packets wake the machine.
func settingFor(s *machine.Status, rules *machine.WakeRules, i *machine.Ignored) string {
	port := i.Service.Port.String()
	if i.Target() == "" {
		port = "the ports that should wake it"
	}
	switch i.Reason {
	case machine.TooFewKnocks:
		return "set wake.min_knocks: 1"
	case machine.InQuietHours:
		return "change wake.quiet_hours"
	case machine.WhileCooling:
		return "set wake.cooldown: 0s"
	case machine.AfterFailures:
		return checkPower + "; a requested wake is tried at once"
	case machine.FromThisHost:
		if rules.LocalLater {
			return "restart nightporter: wake.local: true is set already"
		}
		if rules.Bound {
			return "set claim.mode: responder and wake.local: true, and restart nightporter"
		}
		return "set wake.local: true, and restart nightporter"
	case machine.PingNotRegistered:
		return "add icmp to the machine's ports"
	case machine.PortNotRegistered:
		return "add " + port + " to the machine's ports"
	case machine.SourceNotAllowed:
		return sourceSetting(s, rules, i)
	case machine.OldConnection:
		return connectionSetting(s, rules, i, port)
	}
	return ""
}

// sourceSetting names the narrowest setting that keeps a source from waking.
func sourceSetting(s *machine.Status, rules *machine.WakeRules, i *machine.Ignored) string {
	from := i.Source.Addr()
	add := "add " + netip.PrefixFrom(from, from.BitLen()).String() + " to "
	within := func(prefixes []netip.Prefix) bool {
		return len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(from) })
	}
	switch {
	case !within(s.Settings(i.Service).WakeFrom):
		return add + "wake_from of " + i.Service.Port.String()
	case !within(s.WakeFrom):
		return add + "the machine's wake_from"
	case !within(rules.From):
		return add + "wake.from"
	}
	return "" // it may by now
}

// connectionSetting names the setting that has data on a connection wake.
func connectionSetting(s *machine.Status, rules *machine.WakeRules, i *machine.Ignored, port string) string {
	if i.Target() == "" {
		return "set wake.established: true"
	}
	own := s.Settings(i.Service).Established
	switch {
	case !s.Serves(i.Service):
		return "add " + port + " to the machine's ports"
	case own != nil && !*own:
		return "set established: true for " + port
	case own == nil && !rules.Established:
		return "set wake.established: true"
	}
	return "" // it carries no data
}

// checkPower is what to look at after a wake that failed.
const checkPower = "check the machine's power, cable and Wake-on-LAN"
