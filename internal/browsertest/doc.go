// Package browsertest runs tests of web pages in a real browser, headless Chromium.
// Every request of the browser goes through a proxy of the test. The proxy reaches a
// LAN in a network namespace, lets nothing leave this host, and can drop all
// connections.
package browsertest
