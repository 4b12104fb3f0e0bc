package machine_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/machine"
)

func TestParseReady(t *testing.T) {
	for s, want := range map[string]machine.Ready{
		"syn-ack":           {},
		"http:/":            {By: machine.ByHTTP, Path: "/"},
		"http:/health=204":  {By: machine.ByHTTP, Path: "/health", Status: 204},
		"https:/a?b=c":      {By: machine.ByHTTPS, Path: "/a?b=c"},
		"https:/a?b=1=200":  {By: machine.ByHTTPS, Path: "/a?b=1", Status: 200},
		"http:/a?b=1234":    {By: machine.ByHTTP, Path: "/a?b=1234"},
		"banner:SSH-2.0":    {By: machine.ByBanner, Banner: "SSH-2.0"},
		"banner:220 mail: ": {By: machine.ByBanner, Banner: "220 mail: "},
		"delay:90s":         {By: machine.ByDelay, Delay: 90 * time.Second},
	} {
		if got, err := machine.ParseReady(s); err != nil || got != want {
			t.Errorf("%q is read as %+v, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"":                                   `"syn-ack", "http:/path"`,
		"tcp":                                `"syn-ack", "http:/path"`,
		"http:":                              "a path that begins with a slash",
		"http:health":                        "a path that begins with a slash",
		"http:/a b":                          "without spaces and #",
		"http:/a#b":                          "without spaces and #",
		"http:/a=100":                        "a status from 200 to 599",
		"http:/a=600":                        "a status from 200 to 599",
		"http:/\r\nX: y":                     "a path that begins with a slash, without spaces",
		"http:/\x00":                         "a path that begins",
		"banner:":                            "1 to 128 printable ASCII characters",
		"banner:\n":                          "1 to 128 printable ASCII characters",
		"banner:" + strings.Repeat("a", 129): "1 to 128 printable ASCII characters",
		"delay:5":                            "a delay from 1ms to 10m0s",
		"delay:0s":                           "a delay from 1ms to 10m0s",
		"delay:11m":                          "a delay from 1ms to 10m0s",
	} {
		if got, err := machine.ParseReady(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is read as %+v, %v, want an error with %q", s, got, err, want)
		}
	}
}

func TestSettingsOfAService(t *testing.T) {
	ip, other := netip.MustParseAddr("10.77.0.20"), netip.MustParseAddr("10.77.0.21")
	web, ssh := machine.Port{Protocol: machine.TCP, Number: 80}, machine.Port{Protocol: machine.TCP, Number: 22}
	slow := machine.Settings{ReadyTimeout: 3 * time.Minute}
	a := machine.Address{IP: ip, Ports: []machine.Port{web, ssh}}
	a.Set([]machine.Port{web}, slow)
	a.Set([]machine.Port{ssh}, machine.Settings{})
	s := machine.Spec{Monitor: []machine.Address{a, {IP: other, Ports: []machine.Port{web}}}}
	if d, has := s.ReadyTimeout(machine.Service{Addr: ip, Port: web}); d != 3*time.Minute || !has {
		t.Errorf("ready timeout %v, %v", d, has)
	}
	for _, service := range []machine.Service{{Addr: ip, Port: ssh}, {Addr: other, Port: web}, {Addr: netip.MustParseAddr("10.77.0.22"), Port: web}} {
		if d, has := s.ReadyTimeout(service); d != 0 || has || !s.Settings(service).IsZero() {
			t.Errorf("%v has %v, %v, %+v", service, d, has, s.Settings(service))
		}
	}
	if n := machine.CountSettings(s.Monitor); n != 1 {
		t.Errorf("%d services with settings, want 1", n)
	}
	// A registration without settings keeps those of the configuration, service by
	// service; its own stand.
	own := machine.Settings{ReadyTimeout: time.Minute}
	monitor := []machine.Address{{IP: ip, Ports: []machine.Port{ssh, web}}, {IP: other, Ports: []machine.Port{web}}}
	monitor[0].Set([]machine.Port{ssh}, own)
	machine.InheritSettings(monitor, s.Monitor)
	got := machine.Spec{Monitor: monitor}
	if !got.Settings(machine.Service{Addr: ip, Port: web}).Equal(slow) || !got.Settings(machine.Service{Addr: ip, Port: ssh}).Equal(own) || monitor[1].Settings != nil {
		t.Errorf("inherited %+v", monitor)
	}
}
