// Package notify sends messages about events to people: wakes that failed, address conflicts and
// other configured kinds, through the services of shoutrrr (ntfy, Gotify, Telegram, mail and
// others).
//
// A [Notifier] follows the journal in a goroutine of its own, so that nothing waits for it. It
// turns an event into a [Message] and queues it for one sender for each target, which tries
// until the message is delivered or all tries failed; a slow target delays no other. Events
// beyond the rate are summarized in the next message.
//
// The URL of a target is a secret. No error of this package repeats any of it.
package notify
