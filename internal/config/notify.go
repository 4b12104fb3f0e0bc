package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"nightporter/internal/journal"
	"nightporter/internal/notifyconf"
)

// maxNotices bounds notify.rate, in messages an hour.
const maxNotices = 60

// maxTargets bounds notify.urls: to read each takes a millisecond, and each has a goroutine.
const maxTargets = 16

// notifyKeys are for notifications.
func notifyKeys() []key {
	urls := field("notify.urls", []any{}, func(c *Config) *[]notifyconf.Target { return &c.Notify.URLs }, targets(),
		"targets of messages about events, as URLs of shoutrrr such as ntfy://ntfy.sh/topic, separated by spaces in the environment. Empty: no messages. They hold secrets, and are not for the command line")
	urls.secret, urls.notAsFlag = secretForm, true
	urls.redact = redactTargets
	return []key{
		urls,
		field("notify.events", []any{string(journal.Failed), string(journal.Conflict), string(journal.Elsewhere), string(journal.Redefined)}, func(c *Config) *[]journal.Kind { return &c.Notify.Events },
			notEmpty(listOf(kind()), "at least one kind of events"),
			"events to send: "+join(kindNames(), "or")),
		field("notify.rate", 12, func(c *Config) *int { return &c.Notify.Rate }, wholeNumber(1, maxNotices),
			"messages in any hour. Half are for failed wakes, which also get what the others do not use; the other events share the other half in equal parts, at least one each, even if the rate is used up. Further events are summarized in the next message"),
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

// targets reads a list of URLs. A URL may contain commas: in the environment a space separates
// two URLs, or a comma before the beginning of a URL.
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

// redactTargets keeps the service and the host of each URL.
func redactTargets(shown any) any {
	urls, _ := shown.([]any)
	redactedURLs := make([]any, len(urls))
	for i, u := range urls {
		redactedURLs[i] = redacted
		if t, err := notifyconf.Parse(u.(string), nil); err == nil {
			redactedURLs[i] = t.Masked()
		}
	}
	return redactedURLs
}
