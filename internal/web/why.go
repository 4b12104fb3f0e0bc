package web

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/shell"
)

// whyLine says one thing about why a machine is as it is.
type whyLine struct {
	Topic string `json:"topic"` // one of the topics
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"` // what would change it
}

// The topics, in the order of the lines.
const (
	topicState   = "state"
	topicLast    = "last wake"
	topicWakes   = "wakes"
	topicIgnored = "ignored"
	topicAwake   = "awake"
	topicAddress = "address"
)

// Why is why a machine is as it is, as the API shows it.
type Why struct {
	Machine string    `json:"machine"`
	Lines   []whyLine `json:"lines"`
}

// whyOf says why a machine sleeps or does not: its state, who woke it last, what wakes
// it, what was ignored lately, and what keeps it awake as far as the porter knows.
func whyOf(s *machine.Status, rules machine.WakeRules, now time.Time) []whyLine {
	lines := []whyLine{stateLine(s, now), lastLine(s, now)}
	if s.PausedUntil.IsZero() {
		lines = append(lines, wakesLines(s, &rules, now)...)
	}
	for n := range s.Ignored {
		lines = append(lines, ignoredLine(s, &rules, &s.Ignored[n], now))
	}
	if s.PausedUntil.IsZero() {
		lines = append(lines, awakeLines(s, now)...)
	}
	for i := range s.Addresses {
		if a := &s.Addresses[i]; a.Reason != "" {
			lines = append(lines, addressWhy(a))
		}
	}
	return lines
}

func stateLine(s *machine.Status, now time.Time) whyLine {
	if !s.PausedUntil.IsZero() {
		return whyLine{topicState, "paused until " + atTime(s.PausedUntil, now) + ": nothing is claimed or woken", "`nightporter resume " + shell.Quote(s.Name) + "` ends the pause"}
	}
	text := fmt.Sprintf("%s since %s", s.State, atTime(s.Since, now))
	if s.Why != "" {
		text += ": " + string(s.Why)
	}
	switch s.State {
	case machine.Settling:
		text += "; the porter probes whether it is off"
	case machine.Asleep:
		text += "; the porter answers for " + answeredFor(s.Addresses)
	case machine.Arriving:
		if a := arrivalOf(&s.Arrival); a != nil {
			text += "; " + a.InWords(now)
		}
	}
	return whyLine{Topic: topicState, Text: text}
}

const noneOfThem = "none of its addresses"

// answeredFor says how many of a sleeping machine's addresses are answered for.
func answeredFor(all []machine.AddressStatus) string {
	left := 0
	for i := range all {
		if stuck(&all[i]) != "" {
			left++
		}
	}
	switch {
	case left == 0:
		return "its addresses"
	case left == len(all):
		return noneOfThem
	}
	return fmt.Sprintf("%d of its %d addresses", len(all)-left, len(all))
}

// addressWhy says why an address is not claimed.
func addressWhy(a *machine.AddressStatus) whyLine {
	line := whyLine{Topic: topicAddress, Text: fmt.Sprintf("%s is not claimed: %s", a.IP, a.Reason)}
	if a.Standing == machine.Conceded {
		line.Hint = "if the other host is the machine itself, its mac is mistyped; otherwise give one of the two another address"
	}
	return line
}

// lastLine says what came of the last wake.
func lastLine(s *machine.Status, now time.Time) whyLine {
	line := whyLine{Topic: topicLast, Text: lastWakeInWords(&s.LastWake, now)}
	if len(s.Unready) > 0 {
		line.Text += ": " + NotReady(machine.Names(s.Unready))
	}
	off := s.State == machine.Asleep || s.State == machine.Settling
	if off && s.LastWake.Outcome == machine.GivenUp && !s.RetryAt.After(now) { // else see wakesLines
		line.Hint = checkPower
	}
	return line
}

// lastWakeInWords says who woke a machine last, when and for what, and what came of it.
func lastWakeInWords(w *machine.LastWake, now time.Time) string {
	if w.At.IsZero() {
		return "never"
	}
	text := atTime(w.At, now)
	if w.Test {
		text += ", a test"
	}
	if w.Known() {
		service := ""
		if w.Service.Addr.IsValid() {
			service = w.Service.String()
		}
		text += ", for " + Wanted(w.Source, service, w.By)
	}
	switch w.Outcome {
	case machine.UnderWay:
		text += ": under way"
	case machine.Served:
		text += ": ready after " + seconds(w.Ready)
	case machine.Unready:
		text += ": handed over unready after " + seconds(w.Ready)
	case machine.GivenUp:
		text += ": " + DidNotWake(w.Attempts)
	}
	return text
}

// wakesLines say what wakes the machine, and what does not at present.
func wakesLines(s *machine.Status, rules *machine.WakeRules, now time.Time) []whyLine {
	all := servicesLines(s, rules)
	add := func(text, hint string) { all = append(all, whyLine{topicWakes, text, hint}) }
	if s.RetryAt.After(now) {
		add("the last wakes failed: no knock wakes it before "+atTime(s.RetryAt, now),
			checkPower+"; a requested wake is tried at once")
	}
	switch {
	case rules.Quiet:
		add("no knock wakes it now: quiet hours are "+rules.QuietHours, "change wake.quiet_hours")
	case rules.QuietHours != "":
		add("no knock wakes it in the quiet hours, "+rules.QuietHours, "")
	}
	if rules.MinKnocks > 1 {
		add(fmt.Sprintf("only %d knocks of one source within %v wake it", rules.MinKnocks, rules.KnockWindow), "")
	}
	if rules.Cooldown > 0 {
		add(fmt.Sprintf("for %v after it fell asleep only a new connection wakes it", rules.Cooldown), "")
	}
	if !rules.Local {
		add("programs of the porter's host do not wake it", settingFor(s, rules, &machine.Ignored{Reason: machine.FromThisHost}))
	}
	return all
}

// servicesLines say which services wake the machine, and from where.
func servicesLines(s *machine.Status, rules *machine.WakeRules) []whyLine {
	var all []whyLine
	for i := range s.Monitor {
		a := &s.Monitor[i]
		if len(a.Ports) == 0 {
			continue
		}
		ports := make([]string, len(a.Ports))
		for n, p := range a.Ports {
			ports[n] = p.String()
			if own := a.Settings[p].WakeFrom; len(own) > 0 {
				ports[n] += " (only from " + prefixes(own) + ")"
			}
		}
		text := fmt.Sprintf("%s at %s", strings.Join(ports, ", "), a.IP)
		if cannotBeClaimed(s, a.IP) {
			text += ", but not while that cannot be claimed"
		}
		all = append(all, whyLine{Topic: topicWakes, Text: text})
	}
	if len(all) == 0 {
		return []whyLine{{topicWakes, "no packet wakes it: it has no ports", "add the ports that should wake it"}}
	}
	for _, only := range []struct {
		from []netip.Prefix
		key  string
	}{{rules.From, "wake.from"}, {s.WakeFrom, "the machine's wake_from"}} {
		if len(only.from) > 0 {
			all = append(all, whyLine{Topic: topicWakes, Text: fmt.Sprintf("only from %s (%s)", prefixes(only.from), only.key)})
		}
	}
	return all
}

// cannotBeClaimed reports whether an address is not claimed at present, also while its
// machine sleeps.
func cannotBeClaimed(s *machine.Status, ip netip.Addr) bool {
	return slices.ContainsFunc(s.Addresses, func(a machine.AddressStatus) bool { return a.IP == ip && stuck(&a) != "" })
}

func ignoredLine(s *machine.Status, rules *machine.WakeRules, i *machine.Ignored, now time.Time) whyLine {
	what := "more ports"
	if w := i.Target(); w != "" {
		what = w
	}
	text := what + " from " + source(i.Source)
	if i.Reason == machine.FromThisHost {
		text = what + " from the porter's host"
	}
	times := "once"
	if i.Count > 1 {
		times = fmt.Sprintf("%d times since %s", i.Count, atTime(i.First, now))
	}
	text += fmt.Sprintf(", %s, last %s: %s", times, atTime(i.Last, now), because[i.Reason.String()])
	return whyLine{topicIgnored, text, settingFor(s, rules, i)}
}

// lastHeard says when a frame of the machine came.
func lastHeard(s *machine.Status, now time.Time) string {
	if s.Heard.IsZero() {
		return "no frame received yet"
	}
	return "last heard " + atTime(s.Heard, now)
}

// awakeLines say what keeps a machine from sleeping, as far as the porter knows.
func awakeLines(s *machine.Status, now time.Time) []whyLine {
	switch s.State {
	case machine.Asleep, machine.Waking, machine.Arriving:
		return nil
	case machine.Settling:
		return []whyLine{{Topic: topicAwake, Text: lastHeard(s, now) + "; it is claimed when it stops answering the porter's probes"}}
	}
	lines := []whyLine{{Topic: topicAwake, Text: lastHeard(s, now)}}
	switch {
	case s.Watched && s.Heard.IsZero():
		lines[0].Text += "; the porter probes it"
	case s.Watched:
		lines[0].Text += "; it answers the porter's probes"
	default:
		lines = append(lines, unaskedLine(s))
	}
	return append(lines, whyLine{
		Topic: topicAwake, Text: "what keeps it awake is not known: its traffic does not pass through the porter while it is up",
	})
}

// unaskedLine says why a machine that counts as awake is not asked.
func unaskedLine(s *machine.Status) whyLine {
	line := whyLine{Topic: topicAwake}
	switch {
	case awaitsRegistration(s):
		line.Text = "it has not registered yet: until then the porter does not probe it or claim its addresses"
		line.Hint = "run nightporter register on it, or set agentless: true"
	case len(s.Addresses) > 0 && answeredFor(s.Addresses) == noneOfThem:
		line.Text = "the porter does not probe it, because none of its addresses can be claimed"
	default:
		line.Text = "the porter does not probe it, and learns that it sleeps only from a registration"
		line.Hint = "set watch: true, and watch.interval above 0"
	}
	return line
}
