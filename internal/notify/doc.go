// Package notify tells people about what needs them: wakes that failed, address
// conflicts, and whatever else they ask for, through the services that shoutrrr
// knows (ntfy, Gotify, Telegram, mail and others).
//
// A [Notifier] follows the journal in a goroutine of its own, so that nothing
// waits for it. It turns an event into a [Message] and gives it to one courier for
// each target, who tries until it is delivered or given up; a slow target holds up
// nobody else. What the rate does not allow is sent together later.
//
// The URL of a target is a secret. [Target] shows no more of it than its service
// and host, and no error of this package repeats any of it.
package notify
