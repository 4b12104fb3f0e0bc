package wakefilter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hours are times of the day, every day.
type Hours []Span

// Span is a part of the day. If To is not after From, To is on the next day.
type Span struct {
	From uint16 // first minute that belongs to it, after midnight
	To   uint16 // first minute that does not, after midnight; at most 1440
}

const midnight = 24 * 60

// maxSpans bounds the time that Contains takes.
const maxSpans = 24

// ParseHours reads spans such as "23:00-07:00", separated by commas. "" means never,
// "00:00-24:00" means always. Spans may overlap.
func ParseHours(s string) (Hours, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var hours Hours
	for part := range strings.SplitSeq(s, ",") {
		if len(hours) == maxSpans {
			return nil, fmt.Errorf("found more than %d times of the day", maxSpans)
		}
		span, ok := parseSpan(strings.TrimSpace(part))
		if !ok {
			return nil, fmt.Errorf("found %q, expected a time of the day such as 23:00-07:00", part)
		}
		hours = append(hours, span)
	}
	return hours, nil
}

func parseSpan(s string) (span Span, ok bool) {
	begin, end, ok := strings.Cut(s, "-")
	if !ok {
		return Span{}, false
	}
	from, fromOK := parseClock(strings.TrimSpace(begin))
	to, toOK := parseClock(strings.TrimSpace(end))
	// 07:00-07:00 may mean the whole day, or nothing.
	if !fromOK || !toOK || from == to || from == midnight {
		return Span{}, false
	}
	return Span{From: from, To: to}, true
}

// parseClock reads "7:05" and "07:05", and the end of the day as "24:00".
func parseClock(s string) (minutes uint16, ok bool) {
	hour, minute, ok := strings.Cut(s, ":")
	if !ok || len(hour) > 2 || len(minute) != 2 {
		return 0, false
	}
	h, hourErr := strconv.ParseUint(hour, 10, 8)
	m, minuteErr := strconv.ParseUint(minute, 10, 8)
	if hourErr != nil || minuteErr != nil || m > 59 || h*60+m > midnight {
		return 0, false
	}
	return uint16(h*60 + m), true
}

// Contains reports whether the time of day of at, in its own time zone, is in the
// hours. An hour that the clock skips in spring is left out, one that it shows
// twice in autumn counts twice.
func (h Hours) Contains(at time.Time) bool {
	if len(h) == 0 {
		return false
	}
	hour, minute, _ := at.Clock()
	now := uint16(hour*60 + minute)
	return slices.ContainsFunc(h, func(s Span) bool {
		if s.From < s.To {
			return s.From <= now && now < s.To
		}
		return s.From <= now || now < s.To
	})
}

// String writes the hours as ParseHours reads them.
func (h Hours) String() string {
	spans := make([]string, len(h))
	for i, s := range h {
		spans[i] = fmt.Sprintf("%02d:%02d-%02d:%02d", s.From/60, s.From%60, s.To/60, s.To%60)
	}
	return strings.Join(spans, ", ")
}
