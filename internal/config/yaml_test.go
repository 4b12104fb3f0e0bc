package config_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"nightporter/internal/config"
)

const defaultYAML = `interfaces: []
state_dir: /var/lib/nightporter
user: ""
log:
  level: info
  format: text
registration:
  listen: [":13717"]
  trust: self
  token: ""
  allow: []
  timeout: 5s
  max_connections: 64
  max_machines: 1024
  rate: 6000
http:
  listen: [":9717"]
  web_config: ""
  rate: 600
  token: ""
  hosts: []
  links: {}
probe:
  interval: 1s
  misses: 3
  timeout: 10m
watch:
  interval: 10s
claim:
  mode: responder
  guard: auto
  override_offload: false
wake:
  attempts: 6
  interval: 15s
  timeout: 5m
  keep: true
  transports: [ethernet, udp]
  on_exit: none
  from: []
  local: false
  established: false
  holdoff: 0s
  min_knocks: 1
  knock_window: 10s
  quiet_hours: ""
  cooldown: 0s
hold:
  packets: 64
  ready_timeout: 1m
energy:
  idle_watts: 50
  sleep_watts: 2
  price: ""
notify:
  urls: []
  events: [failed, conflict, elsewhere, redefined]
  rate: 12
machines: []
`

const effectiveMachines = `machines:
  - name: tower
    mac: "10:20:30:40:50:59"
    monitor:
      - ip: 192.0.2.7
        port: [22, 51820/udp, 80/tcp, icmp, 443]
      - ip: "2001:db8::7"
        port: []
      - ip: "fe80::7"
        port:
          - 80
          - port: 443/tcp
            ready_timeout: 3m
            wake_from: [192.0.2.0/24]
          - port: 443/udp
            ready_timeout: 3m
            wake_from: [192.0.2.0/24]
          - port: 8443/tcp
            ready: "https:/health=204"
            established: true
          - port: 9/udp
            ready: "delay:200ms"
          - 22
    guests:
      - mac: "52:54:00:00:00:09"
        ip: 192.0.2.9
        port: [8123/tcp]
      - mac: "52:54:00:00:00:09"
        ip: "2001:db8::9"
        port: []
    idle_watts: 65
    sleep_watts: 0
    wake_from: [192.0.2.0/24, 198.51.100.1/32, "2001:db8::/64"]
    agentless: false
    watch: true
    password: "********"
  - name: "Wohnzimmer: Fernseher ☕"
    mac: "02:00:00:00:00:01"
    monitor:
      - ip: 192.0.2.8
        port: [9]
    idle_watts: 40
    sleep_watts: 1.25
    wake_from: []
    agentless: true
    watch: false
    password: "********"
`

func TestYAML(t *testing.T) {
	if got := effective(t, config.Default()); got != defaultYAML {
		t.Errorf("got:\n%s", got)
	}
	got := effective(t, load(t, machinesFile, []string{"NIGHTPORTER_REGISTRATION__TOKEN=hunter2!", "NIGHTPORTER_HTTP__TOKEN=swordfish", "NIGHTPORTER_CLAIM__GUARD=off"}))
	if _, machines, _ := strings.Cut(got, "\nmachines:"); "machines:"+machines != effectiveMachines {
		t.Errorf("got:\nmachines:%s", machines)
	}
	for _, secret := range []string{"hunter2", "swordfish", "1.2.3.4", "01:23:45:67:89:ab"} {
		if strings.Contains(got, secret) {
			t.Errorf("the effective configuration shows the secret %q", secret)
		}
	}
	for _, line := range []string{"  token: \"********\"\n", "  guard: \"off\"\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("the effective configuration lacks %q:\n%s", line, got)
		}
	}
}

func effective(t testing.TB, c *config.Config) string {
	t.Helper()
	b, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What is printed can be loaded, whatever was set. Of two settings that exclude
// each other, each is left out once.
func TestYAMLLoadsAgain(t *testing.T) {
	all := settings(t)
	for _, without := range []string{"claim.mode", "wake.local"} {
		var environ []string
		for _, k := range config.Keys() {
			if s, ok := all[k.Path]; ok && k.Env != "" && k.Path != "registration.token" && k.Path != "http.token" && k.Path != "notify.urls" && k.Path != without {
				environ = append(environ, k.Env+"="+s.text)
			}
		}
		c := load(t, machinesFile, environ)
		c.Machines[0].Password, c.Machines[1].Password = nil, nil
		same(t, load(t, effective(t, c), nil), c)
	}
}

// A printed configuration with masked secrets is not taken for a real one.
func TestMaskIsRefused(t *testing.T) {
	c := load(t, machinesFile, []string{"NIGHTPORTER_REGISTRATION__TOKEN=hunter2!", "NIGHTPORTER_HTTP__TOKEN=swordfish"})
	path := write(t, "config.yaml", effective(t, c))
	_, err := config.Load(path, true, nil, nil, readURLs)
	for _, key := range []string{"registration.token: ", "http.token: ", "machines[0].password: ", "machines[1].password: "} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("got %v, want an error of %s", err, key)
		}
	}
	revealed, err := c.Reveal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, revealed, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := config.Load(path, true, nil, nil, readURLs)
	if err != nil {
		t.Fatal(err)
	}
	same(t, again, c)
	if second, err := c.Reveal(); err != nil || !bytes.Equal(second, revealed) {
		t.Errorf("writing changed the configuration: %v", err)
	}
}
