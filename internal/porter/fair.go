package porter

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/fair"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
)

// suppressedAgain is how often the log says above debug level that knocks at a
// machine do not wake it. The metrics count each.
const suppressedAgain = time.Hour

// fairRules returns what the configuration says about which knocks wake, or nil
// where all of them do.
func fairRules(c *config.Wake) *fair.Rules {
	rules := &fair.Rules{MinKnocks: c.MinKnocks, Window: c.KnockWindow, Quiet: c.QuietHours, Cooldown: c.Cooldown}
	if rules.None() {
		return nil
	}
	return rules
}

// suppressed judges a knock. The reader does it and not the loop: the loop hears
// of one among many that come at once, which would be missed in the count, and
// hears of it when the packet may be held already.
//
// The time is that of the monotonic clock, where p has the kernel's, which
// somebody may set.
func (r *reader) suppressed(rules *fair.Rules, a *address, d *door, p *lan.Packet) bool {
	why, suppressed := a.judge.Suppress(rules, fair.Knock{At: time.Now(), From: p.From, Opens: p.Kind == lan.TCP && p.SYN()})
	if suppressed {
		r.report(&a.suppressed[why], sighting{
			kind: sawSuppressed, why: why, watch: a.watch, addr: a, door: d,
			source: netip.AddrPortFrom(p.From, p.FromPort),
		})
	}
	return suppressed
}

// logSuppressed tells of a knock that does not wake: the first of an hour to
// everybody, so that who wonders why a machine sleeps on finds the reason. More
// in the journal would wear out the disk.
func (p *Porter) logSuppressed(r *entry, s sighting) {
	now, level := time.Now(), slog.LevelDebug
	if told := r.suppressionTold[s.why]; told.IsZero() || now.Sub(told) >= suppressedAgain {
		level, r.suppressionTold[s.why] = slog.LevelInfo, now
		p.journal.Append(journal.Record{Event: journal.Event{
			Kind: journal.Suppressed, At: now, Machine: r.name(), MAC: r.Spec().MAC,
			Source: s.source, Service: s.door.service.String(), Reason: "wake." + s.why.String(),
		}})
	}
	ctx := context.Background()
	if !p.log.Enabled(ctx, level) {
		return // a flood has no need of lines that nobody reads
	}
	p.log.LogAttrs(ctx, level, "knock does not wake", slog.Any("machine", r),
		slog.String("reason", "wake."+s.why.String()), slog.String("knock", knock(s.source, s.door.service)))
}
