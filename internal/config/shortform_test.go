package config_test

import "testing"

// shortForms are machines in the short form, and the same in the long one.
var shortForms = []struct{ name, short, long string }{
	{"one address", `ip: 192.0.2.7, ports: [ssh, 445]`, `monitor: [{ip: 192.0.2.7, port: [22, 445]}]`},
	{"several addresses", `ip: [192.0.2.7, "2001:db8::7"], ports: [22/tcp, icmp]`, `monitor: [{ip: 192.0.2.7, port: [22/tcp, icmp]}, {ip: "2001:db8::7", port: [22/tcp, icmp]}]`},
	{"a single port", `ip: 192.0.2.7, ports: 22`, `monitor: [{ip: 192.0.2.7, port: [22]}]`},
	{"a single name", `ip: 192.0.2.7, ports: SSH/tcp`, `monitor: [{ip: 192.0.2.7, port: [22/tcp]}]`},
	{"no ports", `ip: 192.0.2.7, ports: []`, `monitor: [{ip: 192.0.2.7, port: []}]`},
	{"settings", `ip: [192.0.2.7, 192.0.2.8], ports: [{port: https/tcp, ready: "https:/health"}]`,
		`monitor: [{ip: 192.0.2.7, port: [{port: 443/tcp, ready: "https:/health"}]}, {ip: 192.0.2.8, port: [{port: 443/tcp, ready: "https:/health"}]}]`},
	{"a guest", `ip: 192.0.2.7, ports: [smb], guests: [{mac: "02:00:00:00:00:09", ip: 192.0.2.8, port: [http/tcp]}]`,
		`monitor: [{ip: 192.0.2.7, port: [445]}], guests: [{mac: "02:00:00:00:00:09", ip: 192.0.2.8, port: [80/tcp]}]`},
	{"names in the long form", `monitor: [{ip: 192.0.2.7, port: ssh}]`, `monitor: [{ip: 192.0.2.7, port: [22]}]`},
}

func withMembers(members string) string {
	return `machines: [{name: a, mac: "02:00:00:00:00:01", ` + members + `}]`
}

func TestShortForm(t *testing.T) {
	for _, tt := range shortForms {
		t.Run(tt.name, func(t *testing.T) {
			got := load(t, withMembers(tt.short), nil)
			same(t, got, load(t, withMembers(tt.long), nil))
			same(t, load(t, effective(t, got), nil), got) // it is printed in the long form
		})
	}
}

// One address does not get what another one's services are given later.
func TestShortFormSharesNothing(t *testing.T) {
	c := load(t, withMembers(`ip: [192.0.2.7, 192.0.2.8], ports: [{port: 22/tcp, established: true}]`), nil)
	one, two := &c.Machines[0].Monitor[0], &c.Machines[0].Monitor[1]
	one.Ports[0].Number = 23
	clear(one.Settings)
	if two.Ports[0].Number != 22 || len(two.Settings) != 1 {
		t.Errorf("the second address has %v and %v", two.Ports, two.Settings)
	}
}

func TestBadShortForm(t *testing.T) {
	const (
		port  = `expected 1 to 65535 (TCP and UDP), "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as ssh`
		ports = `expected a list of ports, such as [ssh, 445]; an empty one claims the address, but no packet wakes`
		ip    = `expected the unicast address of one machine, such as 192.0.2.7 or 2001:db8::7`
	)
	for _, tt := range []struct{ members, want string }{
		{`ip: 192.0.2.7, ports: [22], monitor: [{ip: 192.0.2.7, port: [22]}]`, `machines[0].monitor: found a list (from FILE): expected none beside ip and ports: they are the short form of monitor`},
		{`ports: [22], monitor: [{ip: 192.0.2.7, port: [22]}]`, `machines[0].monitor: found a list (from FILE): expected none beside ip and ports: they are the short form of monitor`},
		{`ip: 192.0.2.7`, `machines[0].ports: found nothing (from FILE): ` + ports},
		{`ip: 192.0.2.7, ports: {ssh: 22}`, `machines[0].ports: found a mapping (from FILE): ` + ports},
		{`ip: 192.0.2.7, ports: "22,445"`, `machines[0].ports: found "22,445" (from FILE): ` + ports},
		{`ip: 192.0.2.7, ports: 22.5`, `machines[0].ports: found 22.5 (from FILE): ` + ports},
		{`ports: [22]`, `machines[0].ip: found nothing (from FILE): expected the address of the machine, such as 192.0.2.7, beside ports: [ssh, 445]; or monitor in place of both`},
		{`ip: [], ports: [22]`, `machines[0].ip: found an empty list (from FILE): expected at least one address`},
		{`ip: nas.lan, ports: [22]`, `machines[0].ip: found "nas.lan" (from FILE): ` + ip},
		{`ip: [192.0.2.7, 192.0.2], ports: [22]`, `machines[0].ip[1]: found "192.0.2" (from FILE): ` + ip},
		{`ip: [192.0.2.7, 192.0.2.7], ports: [22]`, `machines[0].ip[1]: found "192.0.2.7" (from FILE): expected no entry twice: machines[0].ip[0] is the same`},
		{`ip: 192.0.2.7, ports: sssh`, `machines[0].ports: found "sssh" (from FILE): ` + port + `: did you mean ssh?`},
		{`ip: 192.0.2.7, ports: [22, htttps/tcp]`, `machines[0].ports[1]: found "htttps/tcp" (from FILE): ` + port + `: did you mean https/tcp?`},
		{`ip: 192.0.2.7, ports: [no-such-service-anywhere]`, `machines[0].ports[0]: found "no-such-service-anywhere" (from FILE): ` + port},
		{`ip: 192.0.2.7, ports: [ssh/sctp]`, `machines[0].ports[0]: found "ssh/sctp" (from FILE): ` + port},
		{`ip: 192.0.2.7, port: [22]`, `machines[0].port: unknown key (from FILE): did you mean machines[0].ports?
machines[0].ports: found nothing (from FILE): ` + ports},
		{`ip: 192.0.2.7, ports: [22]}, {name: b, mac: "02:00:00:00:00:02", ip: ["2001:db8::8", 192.0.2.7], ports: []`, `machines[1].ip[1]: found "192.0.2.7" (from FILE): expected one that is not used yet: machines[0].ip is the same`},
		{`ip: 192.0.2.7, ports: [22], guests: [{mac: "02:00:00:00:00:09", ip: 192.0.2.7, port: []}]`, `machines[0].guests[0].ip: found "192.0.2.7" (from FILE): expected one that is not used yet: machines[0].ip is the same`},
	} {
		t.Run(tt.members, func(t *testing.T) { refusedFile(t, withMembers(tt.members), tt.want) })
	}
}

func TestShortFormIsBounded(t *testing.T) {
	refusedFile(t, withMembers(`ip: `+repeated(257, "'2001:db8::%d'")+`, ports: []`), `machines[0].ip: found 257 addresses (from FILE): expected at most 256`)
	refusedFile(t, withMembers(`ip: [192.0.2.7, 192.0.2.8], ports: `+repeated(65, "%d")), `machines[0].ports: found 260 services (from FILE): expected at most 256`)
}

// A single value is taken for a list of one, wherever a list is expected.
func TestSingleValues(t *testing.T) {
	got := load(t, `
interfaces: eth0
registration: {listen: ":1", allow: 02:00:00:00:00:0a}
http: {listen: ":2", hosts: porter.example.org}
wake: {from: 192.0.2.0/24, transports: udp}
notify: {urls: "ntfy://ntfy.sh/topic", events: failed}
machines: [{name: a, mac: "02:00:00:00:00:01", ip: 192.0.2.7, ports: 22, wake_from: 192.0.2.1}]
`, nil)
	same(t, got, load(t, `
interfaces: [eth0]
registration: {listen: [":1"], allow: [02:00:00:00:00:0a]}
http: {listen: [":2"], hosts: [porter.example.org]}
wake: {from: [192.0.2.0/24], transports: [udp]}
notify: {urls: ["ntfy://ntfy.sh/topic"], events: [failed]}
machines: [{name: a, mac: "02:00:00:00:00:01", ip: [192.0.2.7], ports: [22], wake_from: [192.0.2.1]}]
`, nil))
}
