package main

import (
	"fmt"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// TestOfSomeServicesCounts.
func TestXTrial(t *testing.T) {
	ctx, network := newLANFor(t, 3*time.Minute)
	h := &house{T: t, ctx: ctx, lan: network}
	nas := h.nas(func(c *lab.MachineConfig) { c.Services = []lab.ServiceConfig{{Network: "tcp", Port: 8000}} })
	h = openOn(ctx, t, network, fmt.Sprintf(`probe: {interval: 100ms}
watch: {interval: 500ms}
hold: {ready_timeout: 5s}
machines: [{name: nas, mac: '%s', ip: 10.77.0.20, ports: [ssh, smb, 8000], agentless: true}]
`, nas.MAC()))
	h.isWatched(0)
	test := h.starts("test", "nas")
	h.prints(test, "put it to sleep now")
	h.fallsAsleep(nas)
	h.ends(test, 1)
	fmt.Println(test.String())
	code, out := h.asked("events")
	fmt.Println(code, out)
	code, out = h.asked("why", "nas")
	fmt.Println(code, out)
	h.wantUncounted()
	time.Sleep(5 * time.Second)
	h.wantUncounted()
}
