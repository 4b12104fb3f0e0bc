package config_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"nightporter/internal/config"
)

func TestBadTargets(t *testing.T) {
	const form = "notify.urls[0]: found a hidden value (from FILE): expected "
	const services = "a URL that begins with one of the services bark, discord, generic, googlechat, gotify, hangouts, ifttt, join, lark, matrix, mattermost, " +
		"notifiarr, ntfy, opsgenie, pagerduty, pushbullet, pushover, rocketchat, signal, slack, smtp, teams, telegram, wecom or zulip, and ://"
	for _, tt := range []struct{ url, want string }{
		{"ntfy://hunter2", form + "ntfy://[user:password@]host/topic"},
		{"ntfy:///hunter2", form + "ntfy://[user:password@]host/topic, with a host"},
		{"ntfy://ntfy.sh/topic?hunter2=1", form + "ntfy://[user:password@]host/topic"},
		{"gotify://hunter2", form + "gotify://host[:port]/token, of 15 characters"},
		{"telegram://hunter2@telegram", form + "telegram://token@telegram?chats=@channel,id"},
		{"telegram://hunter2@telegram?chats=1", form + "telegram://token@telegram?chats=@channel,id"},
		{"smtp://host/hunter2", form + "smtp://user:password@host:port/?from=sender@host&to=recipient@host"},
		{"wecom://hunter2!", form + "wecom://key"},
		{"matrix://u:hunter2@127.0.0.1:1/?no=room", form + "matrix://user:password@host/?rooms=!room:host"},
		{"generic+https://%zz/hunter2", form + "generic://host[:port]/path, or generic+http://... without TLS"},
		{"https://ntfy.sh/hunter2", form + services},
		{"logger://hunter2", form + services},
		{"hunter2", form + services},
		{"ntfy://ntfy.sh/********", form + "the URL itself: ******** is printed in place of its secrets"},
		{"ntfy://ntfy.sh/" + strings.Repeat("hunter2", 300), form + "a URL of at most 2048 bytes"},
	} {
		t.Run(tt.url, func(t *testing.T) { refusedFile(t, fmt.Sprintf("notify: {urls: [%q]}", tt.url), tt.want) })
	}
	refusedFile(t, `notify: {urls: ["ntfy://ntfy.sh/hunter2", "ntfy://ntfy.sh/hunter2"]}`,
		"notify.urls[1]: found a hidden value (from FILE): expected no entry twice: notify.urls[0] is the same")
	refusedFile(t, `notify: {urls: "ntfy://ntfy.sh/hunter2,ntfy://ntfy.sh/b"}`, "notify.urls: found a hidden value (from FILE): expected a list, such as [a, b]")
	refusedFile(t, `notify: {urls: ["ntfy://ntfy.sh/hunter2\n"]}`, form+"a URL of shoutrrr without control characters")
	refusedFile(t, `notify: {urls: [{hunter2: 1}]}`, form+"a URL of shoutrrr without control characters")
	refusedFile(t, "notify: {urls: ["+strings.Repeat("hunter2, ", 17)+"]}", "notify.urls: found a hidden value (from FILE): expected at most 16 URLs")
	refusedFile(t, "notify: {events: [failure]}",
		`notify.events[0]: found "failure" (from FILE): expected failed, conflict, refused, hand_start, asleep, ready, forgotten, address_waiting, address_claimable, elsewhere, card_replaced, renamed, redefined, command_failed, started or reload_failed`)
	refusedFile(t, "notify: {events: []}", "notify.events: found an empty list (from FILE): expected at least one kind of events")
	refusedFile(t, "notify: {rate: 0}", "notify.rate: found 0 (from FILE): expected a whole number from 1 to 60")
}

// A command line is no place for a secret, and neither is an error about it.
func TestSecretsNotOnTheCommandLine(t *testing.T) {
	for key, variable := range map[string]string{"notify.urls": "NIGHTPORTER_NOTIFY__URLS", "http.token": "NIGHTPORTER_HTTP__TOKEN"} {
		fs := parseFlags(t, "--"+key+"=ntfy://ntfy.sh/hunter2")
		refused(t, write(t, "config.yaml", ""), nil, fs, key+": found a hidden value (from --"+key+"): "+
			"expected a value in the configuration file or in "+variable+", since all users of this host can see a command line")
		if !fs.Lookup(key).Hidden {
			t.Errorf("the help shows --%s, which is refused", key)
		}
	}
	if parseFlags(t).Lookup("notify.rate").Hidden {
		t.Error("the help does not show notify.rate")
	}
}

func TestWorldReadableTargets(t *testing.T) {
	const content = "notify: {urls: ['ntfy://ntfy.sh/hunter2']}\n"
	for _, tt := range []struct {
		content string
		mode    os.FileMode
		environ []string
		refused bool
	}{
		{content, 0o644, nil, true},
		{content, 0o640, nil, false},
		{content, 0o644, []string{"NIGHTPORTER_NOTIFY__URLS=gotify://host/Ahunter2hunter2"}, false},
		{"notify: {rate: 1}\n", 0o644, []string{"NIGHTPORTER_NOTIFY__URLS=gotify://host/Ahunter2hunter2"}, false},
		{"notify: {urls: []}\n", 0o644, nil, false},
	} {
		path := write(t, "config.yaml", tt.content)
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		want := ""
		if tt.refused {
			want = "notify.urls: found a hidden value (from " + path + "): expected a file that other users may not read, " +
				"since it holds a secret, and its mode is 0644: put it into /etc/nightporter/environment (mode 600) as NIGHTPORTER_NOTIFY__URLS=..., or `chmod o-rwx " + path + "` if the daemon's user is in the file's group"
		}
		_, err := config.Load(path, true, tt.environ, nil, readURLs)
		if (err != nil) != tt.refused || err != nil && withoutLines(err) != want {
			t.Errorf("%s with %v: error %v, want %q", tt.content, tt.mode, err, want)
		}
	}
}

// What is printed tells the targets apart, and no secret: not even where a host
// should be one.
func TestTargetsAreMasked(t *testing.T) {
	c := load(t, "", []string{"NIGHTPORTER_NOTIFY__URLS=ntfy://me:hunter2@ntfy.sh/hunter2 pushbullet://hunter2hunter2hunter2hunter2hunter generic://host:8080/hunter2?@k=hunter2"})
	got := effective(t, c)
	want := `  urls: ["ntfy://ntfy.sh/********", "pushbullet://********", "generic://host:8080/********"]` + "\n"
	if !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwithout %s", got, want)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", c.Notify, *c, c.Notify, got); strings.Contains(s, "hunter2") {
		t.Errorf("the secret is shown: %s", s)
	}
}
