package registration_test

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

var defaults = registration.Defaults{IdleWatts: 50, SleepWatts: 2}

var towerMAC = ether.MAC{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa1}

// service is the registration of one address with these services.
func service(ports string) string { return `{"monitor":[{"ip":"10.0.0.1","port":[` + ports + `]}]}` }

// settings is n services with a setting.
func settings(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = `{"port":"` + strconv.Itoa(i+1) + `/tcp","ready":"delay:1s"}`
	}
	return strings.Join(all, ",")
}

func tcpUDP(n uint16) []machine.Port {
	return []machine.Port{{Protocol: machine.TCP, Number: n}, {Protocol: machine.UDP, Number: n}}
}

func TestDecode(t *testing.T) {
	base := machine.Spec{MAC: towerMAC, IdleWatts: 50, SleepWatts: 2}
	with := func(change func(*registration.Request)) registration.Request {
		r := registration.Request{Spec: base}
		change(&r)
		return r
	}
	tests := []struct {
		name, body string
		want       registration.Request
	}{
		{
			name: "the older tool's example",
			body: `{"mac": "d8:cb:8a:39:be:a1", "monitor": [
				{"ip": "2001:0db8:3c4d:4d58:1::2222", "port": [25565, 22]},
				{"ip": "192.168.0.37", "port": [22]}]}`,
			want: with(func(r *registration.Request) {
				r.HasMonitor = true
				r.Monitor = []machine.Address{
					{IP: netip.MustParseAddr("2001:db8:3c4d:4d58:1::2222"), Ports: append(tcpUDP(25565), tcpUDP(22)...)},
					{IP: netip.MustParseAddr("192.168.0.37"), Ports: tcpUDP(22)},
				}
			}),
		},
		{
			name: "names of services",
			body: `{"mac": "d8:cb:8a:39:be:a1", "monitor": [{"ip": "192.168.0.37", "port": ["ssh", "SMB/tcp", {"port": "https/tcp", "ready": "https:/"}]}]}`,
			want: with(func(r *registration.Request) {
				r.HasMonitor = true
				r.Monitor = []machine.Address{{
					IP:       netip.MustParseAddr("192.168.0.37"),
					Ports:    append(tcpUDP(22), machine.Port{Protocol: machine.TCP, Number: 445}, machine.Port{Protocol: machine.TCP, Number: 443}),
					Settings: map[machine.Port]machine.Settings{{Protocol: machine.TCP, Number: 443}: {Ready: machine.Ready{By: machine.ByHTTPS, Path: "/"}}},
				}}
			}),
		},
		{
			name: "everything",
			body: "\ufeff \r\n\t" + `{"mac":"D8-CB-8A-39-BE-A1","name":"tower é","monitor":[
				{"ip":"::ffff:192.168.0.37","port":["22/tcp",22,"51820/udp","icmp",22.0,"22"]},{"ip":"fd00::1","port":[]}],
				"token":"s3cret","idle_watts":40.5,"sleep_watts":0,"password":"01:23:45:67:89:ab",
				"wake_from":["192.168.0.9/24","192.168.0.0/24","fd00::7","::ffff:10.0.0.0/104"]}` + " \n",
			want: with(func(r *registration.Request) {
				*r = registration.Request{
					Spec: machine.Spec{
						Name: "tower é", MAC: towerMAC, IdleWatts: 40.5, Password: []byte{1, 0x23, 0x45, 0x67, 0x89, 0xab},
						Monitor: []machine.Address{
							{IP: netip.MustParseAddr("192.168.0.37"), Ports: []machine.Port{
								{Protocol: machine.TCP, Number: 22}, {Protocol: machine.UDP, Number: 22},
								{Protocol: machine.UDP, Number: 51820}, {Protocol: machine.ICMP}}},
							{IP: netip.MustParseAddr("fd00::1")},
						},
						WakeFrom: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/24"),
							netip.MustParsePrefix("fd00::7/128"), netip.MustParsePrefix("10.0.0.0/8")},
					},
					Token: "s3cret", HasName: true, HasMonitor: true, HasIdleWatts: true, HasSleepWatts: true,
					HasPassword: true, HasWakeFrom: true,
				}
			}),
		},
		{
			name: "null is absent",
			body: `{"mac":"d8:cb:8a:39:be:a1","name":null,"monitor":null,"token":null,"idle_watts":null,"password":null,"wake_from":null,"watch":null}`,
			want: with(func(*registration.Request) {}),
		},
		{
			name: "a card that wakes it",
			body: `{"mac":"d8:cb:8a:39:be:a1","wake_mac":"02-00-00-00-00-09"}`,
			want: with(func(r *registration.Request) { r.WakeMAC, r.HasWakeMAC = ether.MAC{2, 0, 0, 0, 0, 9}, true }),
		},
		{
			name: "the card that it speaks with wakes it",
			body: `{"wake_mac":"d8:cb:8a:39:be:a1","mac":"d8:cb:8a:39:be:a1"}`,
			want: with(func(r *registration.Request) { r.HasWakeMAC = true }),
		},
		{
			name: "services with settings of their own",
			body: `{"mac":"d8:cb:8a:39:be:a1","monitor":[{"ip":"10.0.0.1","port":[22,{"port":"22/tcp","established":true},
				{"port":"80/tcp","ready":"http:/health","ready_timeout":"3m","wake_from":["10.0.0.0/8"]},{"port":9,"ready":"delay:5s","what":1},{"port":"icmp"}]}]}`,
			want: with(func(r *registration.Request) {
				tcp := func(n uint16) machine.Port { return machine.Port{Protocol: machine.TCP, Number: n} }
				udp := func(n uint16) machine.Port { return machine.Port{Protocol: machine.UDP, Number: n} }
				established, late := true, machine.Settings{Ready: machine.Ready{By: machine.ByDelay, Delay: 5 * time.Second}}
				r.HasMonitor = true
				r.Monitor = []machine.Address{{IP: netip.MustParseAddr("10.0.0.1"),
					Ports: []machine.Port{tcp(22), udp(22), tcp(80), tcp(9), udp(9), {Protocol: machine.ICMP}},
					Settings: map[machine.Port]machine.Settings{
						tcp(22): {Established: &established}, tcp(9): late, udp(9): late,
						tcp(80): {Ready: machine.Ready{By: machine.ByHTTP, Path: "/health"}, ReadyTimeout: 3 * time.Minute, WakeFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
					}}}
				r.Warnings = []string{"monitor[0].port[3].what: unknown key, ignored"}
			}),
		},
		{
			name: "here, and to be looked after",
			body: `{"mac":"d8:cb:8a:39:be:a1","watch":true}`,
			want: with(func(r *registration.Request) { r.Here = true }),
		},
		{
			name: "about to sleep",
			body: `{"mac":"d8:cb:8a:39:be:a1","watch":false}`,
			want: with(func(*registration.Request) {}),
		},
		{
			name: "unknown keys are ignored, and said so",
			body: `{"mac":"d8:cb:8a:39:be:a1","shutdown_time":4,"monitor":[{"ip":"10.0.0.1","port":[],"a\u0000b":{}}]}`,
			want: with(func(r *registration.Request) {
				r.HasMonitor = true
				r.Monitor = []machine.Address{{IP: netip.MustParseAddr("10.0.0.1")}}
				r.Warnings = []string{"shutdown_time: unknown key, ignored", `monitor[0]."a\x00b": unknown key, ignored`}
			}),
		},
		{
			name: "a default does not exceed what the machine gave",
			body: `{"mac":"d8:cb:8a:39:be:a1","idle_watts":1.5}`,
			want: with(func(r *registration.Request) {
				r.IdleWatts, r.SleepWatts, r.HasIdleWatts = 1.5, 1.5, true
			}),
		},
		{
			name: "not too many warnings",
			body: `{"mac":"d8:cb:8a:39:be:a1","a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0}`,
			want: with(func(r *registration.Request) {
				for _, k := range strings.Split("abcdefgh", "") {
					r.Warnings = append(r.Warnings, k+": unknown key, ignored")
				}
				r.Warnings = append(r.Warnings, "2 more unknown keys, ignored")
			}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := registration.Decode([]byte(tt.body), defaults)
			if err != nil {
				t.Fatal(err)
			}
			opts := []cmp.Option{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
				cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}
			if diff := cmp.Diff(tt.want, got, opts...); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// ports returns the JSON list of the ports 1 to n.
func ports(n int) string {
	s := make([]string, n)
	for i := range s {
		s[i] = strconv.Itoa(i + 1)
	}
	return "[" + strings.Join(s, ",") + "]"
}

func addresses(n int) string {
	s := make([]string, n)
	for i := range s {
		s[i] = `{"ip":"10.0.0.` + strconv.Itoa(i+1) + `","port":[1]}`
	}
	return "[" + strings.Join(s, ",") + "]"
}

func TestDecodeErrors(t *testing.T) {
	const noObject = `expected one JSON object such as {"mac": "d8:cb:8a:39:be:a1", "monitor": [...]}`
	const anyMAC = `expected a MAC address such as "d8:cb:8a:39:be:a1"`
	const anyPort = `expected 1 to 65535, "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as "ssh"`
	tests := []struct{ name, body, want string }{
		{"empty", "", "the request was empty: expected one JSON object"},
		{"white space", " \n", "the request was empty: expected one JSON object"},
		{"number", "12", noObject},
		{"list", "[]", noObject},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", noObject},
		{"half a byte order mark", "\xef\xbb{}", noObject},
		{"two byte order marks", "\ufeff\ufeff{}", noObject},
		{"cut off", `{"mac":`, "the request ended inside the JSON object"},
		{"broken", `{"mac";1}`, "not valid JSON: invalid character ';' after object key"},
		{"control character", "{\x00", `not valid JSON: invalid character '\x00' looking for beginning of object key string`},
		{"garbage behind", `{"mac":"d8:cb:8a:39:be:a1"} x`, "found more text after the JSON object: expected nothing"},
		{"two objects", `{}{}`, "found more text after the JSON object: expected nothing"},
		{"not UTF-8", "{\"name\":\"caf\xe9\"}", "the request is not UTF-8"},
		{"no mac", `{"name":"tower"}`, "mac: missing: " + anyMAC},
		{"null mac", `{"mac":null}`, "mac: missing: " + anyMAC},
		{"mac of a wrong type", `{"mac":[1]}`, "mac: found a list: " + anyMAC},
		{"mac of zeros", `{"mac":"00:00:00:00:00:00"}`, `mac: found "00:00:00:00:00:00": expected the unicast address of one machine`},
		{"mac of a group", `{"mac":"01:00:5e:00:00:01"}`, `mac: found "01:00:5e:00:00:01": expected the unicast address of one machine`},
		{"mac with control characters", `{"mac":"\u001b[2J\n"}`, `mac: found "\x1b[2J\n": ` + anyMAC},
		{"long mac", `{"mac":"` + strings.Repeat("é", 40) + `"}`, `mac: found "` + strings.Repeat("é", 24) + `"...: ` + anyMAC},
		{"mac twice", `{"mac":"d8:cb:8a:39:be:a1","mac":"d8:cb:8a:39:be:a2"}`, "mac: found twice: expected once"},
		{"name with a slash", `{"mac":"d8:cb:8a:39:be:a1","name":"a/b"}`, `name: found "a/b" contains '/': expected printable characters other than a slash`},
		{"empty name", `{"mac":"d8:cb:8a:39:be:a1","name":""}`, "name: found an empty name: expected 1 to 64 printable characters"},
		{"name of a wrong type", `{"mac":"d8:cb:8a:39:be:a1","name":7}`, "name: found 7: expected a name"},
		{"monitor of a wrong type", `{"monitor":{}}`, `monitor: found an object: expected a list such as [{"ip": "192.168.1.5", "port": [22]}]`},
		{"no address", `{"monitor":[]}`, "monitor: found an empty list: expected at least one address"},
		{"too many addresses", `{"monitor":` + addresses(17) + `}`, "monitor: found 17 entries: expected at most 16"},
		{"address of a wrong type", `{"monitor":["10.0.0.1"]}`, `monitor[0]: found "10.0.0.1": expected an object`},
		{"no ip", `{"monitor":[{"port":[1]}]}`, "monitor[0].ip: missing: expected an IPv4 or IPv6 address"},
		{"ip with a leading zero", `{"monitor":[{"ip":"10.0.0.01","port":[1]}]}`, `monitor[0].ip: found "10.0.0.01": expected an IPv4 or IPv6 address`},
		{"ip with a port", `{"monitor":[{"ip":"10.0.0.1:22","port":[1]}]}`, `monitor[0].ip: found "10.0.0.1:22": expected an IPv4 or IPv6 address`},
		{"ip with a zone", `{"monitor":[{"ip":"fe80::1%eth0","port":[1]}]}`, `monitor[0].ip: found "fe80::1%eth0": expected an address without a zone`},
		{"ip twice", `{"monitor":[{"ip":"10.0.0.1","port":[1]},{"ip":"::ffff:10.0.0.1","port":[2]}]}`, `monitor[1].ip: found "::ffff:10.0.0.1": expected an address that is not in the list already`},
		{"no port", `{"monitor":[{"ip":"10.0.0.1"}]}`, "monitor[0].port: missing: expected a list of ports; an empty list claims the address, but no packet wakes"},
		{"port of a wrong type", `{"monitor":[{"ip":"10.0.0.1","port":22}]}`, `monitor[0].port: found 22: expected a list such as [22, "51820/udp"]`},
		{"too many ports", `{"monitor":[{"ip":"10.0.0.1","port":` + ports(257) + `}]}`, "monitor[0].port: found 257 entries: expected at most 256"},
		{"too many services", `{"monitor":` + strings.ReplaceAll(addresses(16), "[1]", ports(256)) + `}`, "monitor: found 8192 services: expected at most 256"},
		{"a number is two services", `{"monitor":[{"ip":"10.0.0.1","port":` + ports(128) + `},{"ip":"10.0.0.2","port":["icmp"]}]}`, "monitor: found 257 services: expected at most 256"},
		{"large port", `{"monitor":[{"ip":"10.0.0.1","port":[22,70000]}]}`, "monitor[0].port[1]: found 70000: " + anyPort},
		{"huge port", `{"monitor":[{"ip":"10.0.0.1","port":[1e300]}]}`, "monitor[0].port[0]: found 1e300: " + anyPort},
		{"port 0", `{"monitor":[{"ip":"10.0.0.1","port":[0]}]}`, "monitor[0].port[0]: found 0: " + anyPort},
		{"negative port", `{"monitor":[{"ip":"10.0.0.1","port":[-22]}]}`, "monitor[0].port[0]: found -22: " + anyPort},
		{"half a port", `{"monitor":[{"ip":"10.0.0.1","port":[22.5]}]}`, "monitor[0].port[0]: found 22.5: " + anyPort},
		{"unknown protocol", `{"monitor":[{"ip":"10.0.0.1","port":["22/sctp"]}]}`, `monitor[0].port[0]: found "22/sctp": ` + anyPort},
		{"null port", `{"monitor":[{"ip":"10.0.0.1","port":[null]}]}`, "monitor[0].port[0]: found null: " + anyPort},
		{"true port", `{"monitor":[{"ip":"10.0.0.1","port":[true]}]}`, "monitor[0].port[0]: found true: " + anyPort},
		{"service without a port", service(`{"ready":"syn-ack"}`), `monitor[0].port[0].port: missing: expected a port such as "22/tcp"`},
		{"service with a bad port", service(`{"port":"x"}`), `monitor[0].port[0].port: found "x": ` + anyPort},
		{"ready", service(`{"port":"80/tcp","ready":"http:x"}`), `monitor[0].port[0].ready: found "http:x": expected a path that begins with a slash, without spaces and #`},
		{"ready of a wrong type", service(`{"port":"80/tcp","ready":5}`), `monitor[0].port[0].ready: found 5: expected text such as "http:/health"`},
		{"ready of UDP", service(`{"port":80,"ready":"banner:x"}`), `monitor[0].port[0].port: found 80: expected a TCP port, such as "80/tcp", since ready is "banner:x"`},
		{"ready_timeout", service(`{"port":80,"ready_timeout":"2h"}`), `monitor[0].port[0].ready_timeout: found "2h": expected a duration from 10ms to 1h0m0s, such as "3m"`},
		{"ready_timeout shorter than the delay", service(`{"port":80,"ready_timeout":"5s","ready":"delay:5s"}`), `monitor[0].port[0].ready_timeout: found "5s": expected more than the delay of ready, which is 5s`},
		{"established", service(`{"port":"22/tcp","established":1}`), `monitor[0].port[0].established: found 1: expected true or false`},
		{"wake_from of a service", service(`{"port":"22/tcp","wake_from":["x"]}`), `monitor[0].port[0].wake_from[0]: found "x": expected a prefix such as "192.168.1.0/24", or an address`},
		{"settings twice", service(`{"port":22,"ready_timeout":"1m"},{"port":"22/udp","ready_timeout":"2m"}`), `monitor[0].port[1].port: found "22/udp" again: expected its settings once`},
		{"too many settings", service(settings(machine.MaxSettings + 1)), "monitor: found 17 services with settings of their own: expected at most 16"},
		{"watts as a string", `{"idle_watts":"50"}`, `idle_watts: found "50": expected a number of watts from 0 to 100000`},
		{"negative watts", `{"sleep_watts":-1}`, "sleep_watts: found -1: expected a number of watts from 0 to 100000"},
		{"asleep above idle", `{"mac":"d8:cb:8a:39:be:a1","sleep_watts":51}`, "sleep_watts: found 51: expected at most idle_watts (50)"},
		{"wake_mac of a group", `{"wake_mac":"01:00:5e:00:00:01"}`, `wake_mac: found "01:00:5e:00:00:01": expected the unicast address of one machine`},
		{"wake_mac of zeros", `{"wake_mac":"00:00:00:00:00:00"}`, `wake_mac: found "00:00:00:00:00:00": expected the unicast address of one machine`},
		{"wake_mac of a wrong type", `{"wake_mac":7}`, `wake_mac: found 7: expected a MAC address such as "d8:cb:8a:39:be:a1"`},
		{"password is not repeated", `{"password":"hunter2"}`, "password: not a SecureOn password: expected six bytes such as 01:23:45:67:89:ab, or four such as 192.0.2.1"},
		{"password of a wrong type", `{"password":12}`, "password: expected a string"},
		{"token of a wrong type", `{"token":12}`, "token: expected a string"},
		{"watch", `{"watch":1}`, `watch: found 1: expected true (up, and to be watched) or false (about to sleep)`},
		{"watch as text", `{"watch":"true"}`, `watch: found "true": expected true (up, and to be watched) or false (about to sleep)`},
		{"wake_from", `{"wake_from":["10.0.0.0/33"]}`, `wake_from[0]: found "10.0.0.0/33": expected a prefix such as "192.168.1.0/24", or an address`},
		{"wake_from with a zone", `{"wake_from":["fe80::1%eth0"]}`, `wake_from[0]: found "fe80::1%eth0": expected a prefix such as "192.168.1.0/24", or an address`},
		{"wake_from half mapped", `{"wake_from":["::ffff:0.0.0.0/90"]}`, `wake_from[0]: found "::ffff:0.0.0.0/90": expected a prefix such as "192.168.1.0/24", or an address`},
		{"wake_from of a wrong type", `{"wake_from":"10.0.0.0/8"}`, `wake_from: found "10.0.0.0/8": expected a list such as ["192.168.1.0/24"]`},
		{"too large", `{"mac":"` + strings.Repeat("x", registration.MaxBody) + `"}`, "the request is larger than 65536 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := registration.Decode([]byte(tt.body), defaults)
			var r *registration.Refusal
			if !errors.As(err, &r) {
				t.Fatalf("got error %v of type %T, want a *Refusal", err, err)
			}
			if r.Text != tt.want {
				t.Errorf("got  %s\nwant %s", r.Text, tt.want)
			}
			want := registration.Invalid
			if tt.name == "too large" {
				want = registration.Limited
			}
			if r.Outcome != want {
				t.Errorf("counted as %v, want %v", r.Outcome, want)
			}
		})
	}
}

func TestDecodeAtTheLimits(t *testing.T) {
	body := `{"mac":"d8:cb:8a:39:be:a1","monitor":` + addresses(15) + `}`
	const first = machine.MaxServices/2 - 14 // a number is two services, and each of the other addresses has one
	body = strings.Replace(body, `"port":[1]`, `"port":`+ports(first), 1)
	body = strings.Replace(body, `]}`, `]},{"ip":"::1","port":[]}`, 1)
	body += strings.Repeat(" ", registration.MaxBody-len(body))
	r, err := registration.Decode([]byte(body), defaults)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Monitor) != registration.MaxAddresses || len(r.Monitor[0].Ports) != 2*first || machine.CountServices(r.Monitor) != machine.MaxServices {
		t.Errorf("got %d addresses, %d ports", len(r.Monitor), len(r.Monitor[0].Ports))
	}
}

// checkText fails unless s is safe to show.
func checkText(t *testing.T, s string) {
	t.Helper()
	if s == "" || len(s) > 400 || !utf8.ValidString(s) {
		t.Errorf("a text of %d bytes: %q", len(s), s)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("not printable at %d: %q", i, s)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"mac":"d8:cb:8a:39:be:a1","name":"a","monitor":[{"ip":"10.0.0.1","port":[22,"icmp","5/udp"]}],"token":"x"}`))
	f.Add([]byte(`{"mac":"d8:cb:8a:39:be:a1","monitor":[{"ip":"::ffff:1.2.3.4","port":[]}],"wake_from":["1.2.3.4/8","::/0"],"x\u0000":1,"watch":true}`))
	f.Add([]byte(`{"mac":"02-00-00-00-00-01","wake_mac":"02-00-00-00-00-02"}`))
	f.Add([]byte("\ufeff{\"idle_watts\":1e5,\"sleep_watts\":1,\"password\":\"1.2.3.4\",\"mac\":\"02-00-00-00-00-01\"}"))
	f.Add([]byte(`{"mac":"02-00-00-00-00-01","guests":[{"mac":"52-54-00-00-00-01","ip":"10.0.0.2","port":["22/tcp"]},{"ip":"::2","port":[]}]}`))
	f.Add([]byte(`{"mac":"\u202e\ud800","monitor":[[[[]]]]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := registration.Decode(body, defaults)
		for _, w := range r.Warnings {
			checkText(t, w)
		}
		if err != nil {
			var refusal *registration.Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("not a refusal: %v", err)
			}
			checkText(t, refusal.Text)
			return
		}
		checkRequest(t, r)
	})
}

// checkRequest fails unless r keeps every rule of an accepted registration.
func checkRequest(t *testing.T, r registration.Request) {
	t.Helper()
	if !r.MAC.Unicast() {
		t.Errorf("mac %v", r.MAC)
	}
	if r.WakeMAC != (ether.MAC{}) && (!r.HasWakeMAC || !r.WakeMAC.Unicast() || r.WakeMAC == r.MAC) {
		t.Errorf("wake_mac %v", r.WakeMAC)
	}
	if r.HasName != (r.Name != "") || r.HasName && machine.CheckName(r.Name) != nil {
		t.Errorf("name %q", r.Name)
	}
	if r.HasMonitor != (len(r.Monitor) > 0) || len(r.Monitor) > registration.MaxAddresses || machine.CountServices(r.Monitor) > machine.MaxServices {
		t.Errorf("%d addresses", len(r.Monitor))
	}
	if !(r.SleepWatts >= 0 && r.SleepWatts <= r.IdleWatts && r.IdleWatts <= 100_000) {
		t.Errorf("watts %v, %v", r.IdleWatts, r.SleepWatts)
	}
	if n := len(r.Password); n != 0 && n != 4 && n != 6 {
		t.Errorf("password of %d bytes", n)
	}
	if len(r.Guests) > registration.MaxAddresses || len(r.Guests) > 0 && !r.HasGuests {
		t.Errorf("%d addresses of guests", len(r.Guests))
	}
	for _, a := range r.Guests {
		if a.MAC == r.MAC || a.Guest() && !a.MAC.Unicast() {
			t.Errorf("guest at %v", a.MAC)
		}
	}
	seen := make(map[any]bool)
	all := slices.Concat(r.Monitor, r.Guests)
	if machine.CountServices(all) > machine.MaxServices {
		t.Errorf("%d services", machine.CountServices(all))
	}
	for _, a := range all {
		if !a.IP.IsValid() || a.IP.Is4In6() || a.IP.Zone() != "" || seen[a.IP] {
			t.Errorf("address %v", a.IP)
		}
		seen[a.IP] = true
		for _, p := range a.Ports {
			s := machine.Service{Addr: a.IP, Port: p}
			if (p.Protocol == machine.ICMP) != (p.Number == 0) || seen[s] {
				t.Errorf("service %v", s)
			}
			seen[s] = true
		}
	}
	for _, p := range r.WakeFrom {
		if !p.IsValid() || p.Addr().Is4In6() || p != p.Masked() || seen[p] {
			t.Errorf("prefix %v", p)
		}
		seen[p] = true
	}
}
