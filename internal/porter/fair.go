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

// readerRules returns what the configuration has the readers of every interface
// look out for.
func readerRules(c *config.Wake) fastpath.Rules {
	return fastpath.Rules{From: c.From, Established: c.Established, Filter: fairRules(c)}
}

// fairRules returns what the configuration says about which knocks wake, or nil
// where all of them do.
func fairRules(c *config.Wake) *fair.Rules {
	rules := &fair.Rules{MinKnocks: c.MinKnocks, Window: c.KnockWindow, Quiet: c.QuietHours, Cooldown: c.Cooldown}
	if rules.None() {
		return nil
	}
	return rules
}

// logSuppressed tells of a knock that does not wake: the first of an hour to
// everybody, so that who wonders why a machine sleeps on finds the reason. More
// in the journal would wear out the disk.
func (p *Porter) logSuppressed(r *resident, s fastpath.Sighting) {
	now, level := time.Now(), slog.LevelDebug
	if told := r.suppressionTold[s.Reason]; told.IsZero() || now.Sub(told) >= suppressedAgain {
		level, r.suppressionTold[s.Reason] = slog.LevelInfo, now
		p.journal.Append(journal.Record{Event: journal.Event{
			Kind: journal.Suppressed, At: now, Machine: r.name(), MAC: r.Spec().MAC,
			Source: s.Source, Service: s.Service.ID.String(), Reason: "wake." + s.Reason.String(),
		}})
	}
	ctx := context.Background()
	if !p.log.Enabled(ctx, level) {
		return // a flood has no need of lines that nobody reads
	}
	p.log.LogAttrs(ctx, level, "knock does not wake", slog.Any("machine", r),
		slog.String("reason", "wake."+s.Reason.String()), slog.String("knock", knock(s.Source, s.Service.ID)))
}
