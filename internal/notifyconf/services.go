package notifyconf

import (
	"maps"
	"slices"
	"strings"
)

// Service describes a service of shoutrrr.
type Service struct {
	Form   string // of its URLs, for error texts
	Public bool   // the host in its URL is a host, not a key or a token
	Titled bool   // it takes a title beside the text
	Login  bool   // it logs in when it is set up, which a check of the configuration must not do
}

// Services returns the services that a URL can name, by scheme. "logger" is left out: it
// delivers nothing.
func Services() map[string]Service {
	return map[string]Service{
		"bark":       {Form: "bark://:device-key@host", Public: true, Titled: true},
		"discord":    {Form: "discord://token@webhook-id", Titled: true},
		"generic":    {Form: "generic://host[:port]/path, or generic+http://... without TLS", Public: true, Titled: true},
		"googlechat": {Form: "googlechat://chat.googleapis.com/v1/spaces/FOO/messages?key=...&token=...", Public: true},
		"gotify":     {Form: "gotify://host[:port]/token, of 15 characters", Public: true, Titled: true},
		"hangouts":   {Form: "hangouts://chat.googleapis.com/v1/spaces/FOO/messages?key=...&token=...", Public: true},
		"ifttt":      {Form: "ifttt://key/?events=name"},
		"join":       {Form: "join://shoutrrr:api-key@join/?devices=device", Titled: true},
		"lark":       {Form: "lark://host/token", Public: true, Titled: true},
		"matrix":     {Form: "matrix://user:password@host/?rooms=!room:host", Public: true, Titled: true, Login: true},
		"mattermost": {Form: "mattermost://[user@]host/token[/channel]", Public: true, Titled: true},
		"notifiarr":  {Form: "notifiarr://api-key"},
		"ntfy":       {Form: "ntfy://[user:password@]host/topic", Public: true, Titled: true},
		"opsgenie":   {Form: "opsgenie://host/token", Public: true, Titled: true},
		"pagerduty":  {Form: "pagerduty://host/integration-key", Public: true},
		"pushbullet": {Form: "pushbullet://token[/device]", Titled: true},
		"pushover":   {Form: "pushover://shoutrrr:token@user-key", Titled: true},
		"rocketchat": {Form: "rocketchat://[user@]host/token/channel", Public: true},
		"signal":     {Form: "signal://[user:password@]host:port/number/recipient", Public: true},
		"slack":      {Form: "slack://hook:token@webhook", Titled: true},
		"smtp":       {Form: "smtp://user:password@host:port/?from=sender@host&to=recipient@host", Public: true, Titled: true},
		"teams":      {Form: "teams://group@tenant/alt-id/group-owner?host=organization.webhook.office.com", Titled: true},
		"telegram":   {Form: "telegram://token@telegram?chats=@channel,id", Titled: true},
		"wecom":      {Form: "wecom://key"},
		"zulip":      {Form: "zulip://bot-mail:bot-key@host/?stream=name&topic=name", Public: true},
	}
}

// serviceNames lists the services as a sentence does.
func serviceNames() string {
	names := slices.Sorted(maps.Keys(Services()))
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
