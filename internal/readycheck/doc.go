// Package readycheck checks whether services are ready by connections of its own: by an
// HTTP response, or by the first bytes that the service sends. A Checker belongs to the
// event loop, which starts checks and reads their results; each check is a goroutine and
// ends within Limit.
package readycheck
