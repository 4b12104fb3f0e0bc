package notify

import (
	"maps"
	"slices"
	"strings"
)

// service is what has to be known of one that shoutrrr offers.
type service struct {
	form   string // of its URLs, for those who got one wrong
	public bool   // the host in its URL is one, and not a key or a token
	titled bool   // it takes a title beside the text
	login  bool   // it logs in when it is set up, which must not happen in a check
}

// services are those that a URL can name. Not among them is "logger", which
// delivers to nobody.
func services() map[string]service {
	return map[string]service{
		"bark":       {form: "bark://:device-key@host", public: true, titled: true},
		"discord":    {form: "discord://token@webhook-id", titled: true},
		"generic":    {form: "generic://host[:port]/path, or generic+http://... without TLS", public: true, titled: true},
		"googlechat": {form: "googlechat://chat.googleapis.com/v1/spaces/FOO/messages?key=...&token=...", public: true},
		"gotify":     {form: "gotify://host[:port]/token, of 15 characters", public: true, titled: true},
		"hangouts":   {form: "hangouts://chat.googleapis.com/v1/spaces/FOO/messages?key=...&token=...", public: true},
		"ifttt":      {form: "ifttt://key/?events=name"},
		"join":       {form: "join://shoutrrr:api-key@join/?devices=device", titled: true},
		"lark":       {form: "lark://host/token", public: true, titled: true},
		"matrix":     {form: "matrix://user:password@host/?rooms=!room:host", public: true, titled: true, login: true},
		"mattermost": {form: "mattermost://[user@]host/token[/channel]", public: true, titled: true},
		"notifiarr":  {form: "notifiarr://api-key"},
		"ntfy":       {form: "ntfy://[user:password@]host/topic", public: true, titled: true},
		"opsgenie":   {form: "opsgenie://host/token", public: true, titled: true},
		"pagerduty":  {form: "pagerduty://host/integration-key", public: true},
		"pushbullet": {form: "pushbullet://token[/device]", titled: true},
		"pushover":   {form: "pushover://shoutrrr:token@user-key", titled: true},
		"rocketchat": {form: "rocketchat://[user@]host/token/channel", public: true},
		"signal":     {form: "signal://[user:password@]host:port/number/recipient", public: true},
		"slack":      {form: "slack://hook:token@webhook", titled: true},
		"smtp":       {form: "smtp://user:password@host:port/?from=sender@host&to=recipient@host", public: true, titled: true},
		"teams":      {form: "teams://group@tenant/alt-id/group-owner?host=organization.webhook.office.com", titled: true},
		"telegram":   {form: "telegram://token@telegram?chats=@channel,id", titled: true},
		"wecom":      {form: "wecom://key"},
		"zulip":      {form: "zulip://bot-mail:bot-key@host/?stream=name&topic=name", public: true},
	}
}

// known lists the services as a sentence does.
func known() string {
	names := slices.Sorted(maps.Keys(services()))
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
