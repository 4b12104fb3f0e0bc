// Package browsertest has tests look at pages in a real browser, Chromium without
// a window. All that the browser asks for goes through a proxy of the test's own:
// so it sees a LAN in a network namespace, nothing leaves this machine, and a test
// can cut it off.
package browsertest
