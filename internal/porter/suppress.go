package porter

import (
	"context"
	"log/slog"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/fair"
	"nightporter/internal/fastpath"
	"nightporter/internal/journal"
)

// suppressedAgain is how often the log says above debug level that knocks at a
// machine do not wake it. The metrics count each.
const suppressedAgain = time.Hour

// readerRules returns what the configuration says about which knocks wake.
func readerRules(c *config.Wake) fastpath.Rules {
	rules := fastpath.Rules{From: c.From, Established: c.Established}
	filter := &fair.Rules{MinKnocks: c.MinKnocks, Window: c.KnockWindow, Quiet: c.QuietHours, Cooldown: c.Cooldown}
	if !filter.None() {
		rules.Filter = filter
	}
	return rules
}

// noteSuppressed reports a knock that does not wake: the first of an hour at info
// level and as an event, so that the reason is found why a machine sleeps on. More
// in the journal would wear out the disk.
func (e *entry) noteSuppressed(log *slog.Logger, events eventLog, s fastpath.Sighting) {
	now, level := time.Now(), slog.LevelDebug
	reason := "wake." + s.Reason.String()
	if told := e.suppressionTold[s.Reason]; told.IsZero() || now.Sub(told) >= suppressedAgain {
		level, e.suppressionTold[s.Reason] = slog.LevelInfo, now
		events.Append(journal.Record{Event: journal.Event{
			Kind: journal.Suppressed, At: now, Machine: e.name(), MAC: e.Spec().MAC,
			Source: s.Source, Service: s.Service.ID.String(), Reason: reason,
		}})
	}
	ctx := context.Background()
	if !log.Enabled(ctx, level) {
		return // a flood has no need of lines that are not read
	}
	log.LogAttrs(ctx, level, "knock does not wake", slog.String("event", "suppressed"), slog.Any("machine", e),
		slog.String("reason", reason), slog.String("knock", knock(s.Source, s.Service.ID)))
}
