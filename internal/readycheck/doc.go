// Package readycheck finds out by connections of our own whether services can take
// their clients: by an HTTP answer, or by what they say first. A Checker belongs to
// the event loop, which starts checks and takes their results; each check is a
// goroutine of its own and ends within Limit.
package readycheck
