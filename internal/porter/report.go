package porter

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"nightporter/internal/machine"
)

// logPlace logs that an address cannot be claimed, with the reason, or can be again.
func (e *entry) logPlace(log *slog.Logger, ip netip.Addr, reason string) {
	if reason == "" {
		log.Info("address can be claimed", "event", "address_claimable", "machine", e, "ip", ip)
		return
	}
	log.Warn("address cannot be claimed at present", "event", "address_waiting", "machine", e, "ip", ip, "reason", reason)
}

// logMagic logs a magic packet. Only the first failure of a wake is a warning.
func (e *entry) logMagic(log *slog.Logger, m machine.SendMagic, err error) {
	if err == nil {
		log.Debug("magic packet sent", "event", "magic", "machine", e, "attempt", m.Attempt)
		return
	}
	level := slog.LevelWarn
	if m.Again || errors.Is(err, errNoWakeInterface) {
		level = slog.LevelDebug
	}
	log.Log(context.Background(), level, "magic packet not sent", "event", "magic_failed", "machine", e, "attempt", m.Attempt, "err", err)
}

// wakeAttrs returns the attributes about a wake for a transition's log line.
func wakeAttrs(a machine.Action) []slog.Attr {
	switch a := a.(type) {
	case machine.WakeBegan:
		if a.Service.Addr.IsValid() {
			return []slog.Attr{slog.String("knock", knockText(a.Source, a.Service))}
		}
		return []slog.Attr{slog.String("trigger", a.Trigger.String()), slog.String("by", a.By)}
	case machine.WakeEnded:
		boot := slog.Duration("boot", round(a.Boot))
		if a.Unready {
			return []slog.Attr{boot}
		}
		return []slog.Attr{boot, slog.Duration("ready", round(a.Ready))}
	case machine.LeftUnready:
		return []slog.Attr{slog.Any("not_ready", machine.Names(a.Services))}
	case machine.WakeFailed:
		return []slog.Attr{slog.String("trigger", a.Trigger.String()), slog.Int("attempts", a.Attempts)}
	}
	return nil
}

// knockText returns source and destination of a knock. An echo request has no port.
func knockText(from netip.AddrPort, at machine.Service) string {
	source := from.String()
	if at.Protocol == machine.ICMP {
		source = from.Addr().String()
	}
	return source + " -> " + at.String()
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// firmwareRemedy is the remedy if a machine is not claimed because its network card or
// firmware answers while it sleeps.
const firmwareRemedy = `switch ARP offload and NS offload off for the machine's network card ` +
	`(Windows: Set-NetAdapterPowerManagement -Name NAME -ArpOffload Disabled -NSOffload Disabled, or the adapter's advanced properties; ` +
	`elsewhere in its driver or firmware), give its management firmware (AMT, BMC) an address of its own, or set claim.override_offload: true`

// logMove logs a transition with the attributes of the wake.
func (e *entry) logMove(log *slog.Logger, m machine.Moved, about []slog.Attr) {
	level := slog.LevelInfo
	switch {
	case m.Repeated:
		level = slog.LevelDebug
	case m.Why == machine.WhyOnlyNIC && m.To == machine.Awake:
		level, about = slog.LevelWarn, append(about, slog.String("remedy", firmwareRemedy))
	case m.Why == machine.WhyNeverSilent || m.Why == machine.WhyAttemptsGone || m.Why == machine.WhyNotReady:
		level = slog.LevelWarn
	}
	attrs := append([]slog.Attr{
		slog.String("event", "moved"), slog.Any("machine", e), slog.String("from", m.From.String()), slog.String("to", m.To.String()),
		slog.String("reason", string(m.Why)), slog.Duration("after", round(m.After)),
	}, about...)
	log.LogAttrs(context.Background(), level, "machine "+m.To.String(), attrs...)
}

// logPause logs the begin and the end of a pause, and a registration that waits for its
// end.
func (e *entry) logPause(log *slog.Logger, a machine.Action) {
	switch a := a.(type) {
	case machine.PauseBegan:
		log.Info("machine paused", "event", "paused", "machine", e, "until", a.Until.Format(time.RFC3339), "by", a.By)
	case machine.PauseEnded:
		by := a.By
		if by == "" {
			by = "timeout"
		}
		log.Info("pause over", "event", "pause_over", "machine", e, "by", by)
	case machine.Deferred:
		log.Info("registration waits for the end of the pause", "event", "deferred", "machine", e, "until", a.Until.Format(time.RFC3339))
	}
}
