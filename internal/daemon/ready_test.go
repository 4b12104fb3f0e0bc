package daemon

import (
	"net/netip"
	"testing"

	"nightporter/internal/config"
	"nightporter/internal/lan"
)

func network(name string, prefixes ...string) lan.Network {
	n := lan.Network{Name: name}
	for _, p := range prefixes {
		n.Prefixes = append(n.Prefixes, netip.MustParsePrefix(p))
	}
	return n
}

func TestPageOf(t *testing.T) {
	both := []lan.Network{network("eth0", "fe80::2/64", "fd00::2/64", "192.168.1.2/24"), network("eth1", "10.0.0.2/8")}
	six := []lan.Network{network("eth0", "fe80::2/64", "fd00::2/64")}
	for _, tt := range []struct {
		conf     config.HTTP
		attached []lan.Network
		want     string
	}{
		{config.HTTP{Listen: []string{":9717"}}, both, "http://192.168.1.2:9717/"},
		{config.HTTP{Listen: []string{":9717"}}, six, "http://[fd00::2]:9717/"},
		{config.HTTP{Listen: []string{":9717"}}, nil, "http://localhost:9717/"},
		{config.HTTP{Listen: []string{"10.0.0.2:80", ":9717"}}, both, "http://10.0.0.2:80/"},
		{config.HTTP{Listen: []string{":9717"}, WebConfig: "/etc/web.yaml"}, both, "192.168.1.2:9717/"},
		{config.HTTP{}, both, ""},
	} {
		if got := pageOf(tt.conf, tt.attached); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.conf, got, tt.want)
		}
	}
	if got := describe(both); got != "eth0 fd00::2/64 192.168.1.2/24, eth1 10.0.0.2/8" {
		t.Errorf("described as %q", got)
	}
}
