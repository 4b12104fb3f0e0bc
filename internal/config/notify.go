package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"nightporter/internal/journal"
	"nightporter/internal/notifyconf"
)

// maxNotices bounds notify.rate: one a minute is more than anybody reads.
const maxNotices = 60

// maxTargets bounds notify.urls: each is read by its service, which takes a
// millisecond, and gets a courier.
const maxTargets = 16

// notifyKeys are about who is told of what.
func notifyKeys() []key {
	urls := field("notify.urls", []any{}, func(c *Config) *[]notifyconf.Target { return &c.Notify.URLs }, targets(),
		"where to send a message about events, as URLs of shoutrrr, such as ntfy://ntfy.sh/topic; in the environment separated by spaces; empty: nowhere; they hold secrets, and are not for the command line")
	urls.secrecy, urls.unseen = formed, true
	urls.hide = maskTargets
	return []key{
		urls,
		field("notify.events", []any{string(journal.Failed), string(journal.Conflict), string(journal.Elsewhere), string(journal.Redefined)}, func(c *Config) *[]journal.Kind { return &c.Notify.Events },
			notEmpty(listOf(kind()), "at least one kind of events"),
			"the events that are told: "+join(kindNames(), "or")),
		field("notify.rate", 12, func(c *Config) *int { return &c.Notify.Rate }, wholeNumber(1, maxNotices),
			"messages in any hour: half for failed wakes, which also get what the others do not use, half for the other events in equal parts, and one at least for each; what happens beyond that is told together in the next one"),
	}
}

func kindNames() []string {
	var names []string
	for _, k := range notifyconf.Kinds() {
		names = append(names, string(k))
	}
	return names
}

func kind() codec[journal.Kind] {
	return parsed("word", join(kindNames(), "or"), func(s string) (journal.Kind, bool) {
		k := journal.Kind(s)
		return k, slices.Contains(notifyconf.Kinds(), k)
	}, func(k journal.Kind) any { return string(k) })
}

// targets reads a list of URLs. They may have commas in them: in the environment
// only one before the beginning of a URL separates two, as a space does.
func targets() codec[[]notifyconf.Target] {
	c := listOf(target())
	c.text = func(s string) any {
		list := []any{}
		for _, u := range strings.Fields(regexp.MustCompile(`,([a-zA-Z]+(\+[a-zA-Z]+)?://)`).ReplaceAllString(s, " $1")) {
			list = append(list, strings.TrimSuffix(u, ","))
		}
		return list
	}
	read := c.read
	c.read = func(p place, raw any) ([]notifyconf.Target, bool) {
		if list, _ := raw.([]any); len(list) > maxTargets {
			return nil, p.wrong(raw, fmt.Sprintf("at most %d URLs", maxTargets))
		}
		return read(p, raw)
	}
	return c
}

func target() codec[notifyconf.Target] {
	const expected = "a URL of shoutrrr"
	return codec[notifyconf.Target]{
		noun: "URL", text: asText,
		read: func(p place, raw any) (notifyconf.Target, bool) {
			s, isText := raw.(string)
			if !isText || !clean(s) {
				return notifyconf.Target{}, p.wrong(raw, expected+" without control characters")
			}
			t, err := notifyconf.Parse(s, p.report.readURL)
			if err != nil {
				return notifyconf.Target{}, p.wrong(raw, strings.TrimPrefix(err.Error(), "expected "))
			}
			return t, true
		},
		show: func(t notifyconf.Target) any { return t.URL() },
	}
}

// maskTargets leaves what tells one target from another, and no secret.
func maskTargets(shown any) any {
	urls, _ := shown.([]any)
	masked := make([]any, len(urls))
	for i, u := range urls {
		masked[i] = mask
		if t, err := notifyconf.Parse(u.(string), nil); err == nil {
			masked[i] = t.Masked()
		}
	}
	return masked
}
