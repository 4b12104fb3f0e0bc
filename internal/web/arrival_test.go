package web_test

import (
	"testing"

	"nightporter/internal/web"
)

// TestNotReady names each port once, and not too many.
func TestNotReady(t *testing.T) {
	for want, services := range map[string][]string{
		"its services are not ready":                                              nil,
		"its service ssh (22/tcp) is not ready":                                   {"192.0.2.5:22/tcp", "[2001:db8::5]:22/tcp"},
		"its services 9999/tcp, 55/udp and ping are not ready":                    {"192.0.2.5:9999/tcp", "[2001:db8::5]:55/udp", "2001:db8::5/icmp"},
		"its services 1/tcp, 2/tcp, 3/tcp, 4/tcp, 5/tcp and 2 more are not ready": {"a:1/tcp", "a:2/tcp", "a:3/tcp", "a:4/tcp", "a:5/tcp", "a:6/tcp", "a:7/tcp"},
		"its service what only a newer porter knows is not ready":                 {"what only a newer porter knows"},
	} {
		if got := web.NotReady(services); got != want {
			t.Errorf("%q: %q, want %q", services, got, want)
		}
	}
}
