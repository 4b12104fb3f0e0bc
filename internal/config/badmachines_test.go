package config_test

import (
	"fmt"
	"strings"
	"testing"
)

// badMachines is badValues for the list of machines.
var badMachines = []struct{ file, want string }{
	{"machines: {}", `machines: found a mapping (from FILE): expected a list of machines`},
	{"machines: [tower]", `machines[0]: found "tower" (from FILE): expected a mapping with name, mac, ip, ports, monitor, guests, idle_watts, sleep_watts, wake_from, agentless, watch, url, group, password, token, wake_mac, wake_interface, wake_transports, wake_to and wake_command`},
	{"machines: [{}]", `machines[0].name: found nothing (from FILE): expected a name of 1 to 64 visible characters, no slash, no space at either end, no word in letters of two scripts, in quotes if it looks like a number
machines[0].mac: found nothing (from FILE): expected the MAC address of one machine, such as d8:cb:8a:39:be:a1
machines[0].ip: found nothing (from FILE): expected the address of the machine, such as 192.0.2.7, beside ports: [ssh, 445]; or monitor in place of both`},
	{named("mac: 02:00:00:00:00:01"), `machines[0].name: found nothing (from FILE): expected a name of 1 to 64 visible characters, no slash, no space at either end, no word in letters of two scripts, in quotes if it looks like a number`},
	{named("name: a/b, mac: 02:00:00:00:00:01"), `machines[0].name: found "a/b" (from FILE): expected a name of 1 to 64 visible characters, no slash, no space at either end, no word in letters of two scripts, in quotes if it looks like a number`},
	{named("name: 5, mac: 02:00:00:00:00:01"), `machines[0].name: found 5 (from FILE): expected a name of 1 to 64 visible characters, no slash, no space at either end, no word in letters of two scripts, in quotes if it looks like a number`},
	{named("name: ' a', mac: 02:00:00:00:00:01"), `machines[0].name: found " a" (from FILE): expected a name of 1 to 64 visible characters, no slash, no space at either end, no word in letters of two scripts, in quotes if it looks like a number`},
	{named("name: a, mac: 01:00:00:00:00:01"), `machines[0].mac: found "01:00:00:00:00:01" (from FILE): expected the MAC address of one machine, such as d8:cb:8a:39:be:a1`},
	{monitoring("[]"), `machines[0].monitor: found an empty list (from FILE): expected a list of at least one address, such as {ip: 192.0.2.7, port: [22, "51820/udp", "icmp"]}, or ip and ports in its place`},
	{monitoring("{ip: 192.0.2.7, port: []}"), `machines[0].monitor: found a mapping (from FILE): expected a list of at least one address, such as {ip: 192.0.2.7, port: [22, "51820/udp", "icmp"]}, or ip and ports in its place`},
	{monitoring("[192.0.2.7]"), `machines[0].monitor[0]: found "192.0.2.7" (from FILE): expected a mapping with ip and port`},
	{monitoring("[{ip: 192.0.2.7}]"), `machines[0].monitor[0].port: found nothing (from FILE): expected a list of ports, such as [ssh, 445]; an empty one claims the address, but no packet wakes`},
	{monitoring("[{ip: 192.0.2.7, port: {port: 22}}]"), `machines[0].monitor[0].port: found a mapping (from FILE): expected a list of ports, such as [ssh, 445]; an empty one claims the address, but no packet wakes`},
	{monitoring("[{ip: 192.0.2.7, ports: [22], port: []}]"), `machines[0].monitor[0].ports: unknown key (from FILE): did you mean machines[0].monitor[0].port?`},
	{monitoring("[{ip: 192.0.2.7, port: [22, 22/sctp]}]"), `machines[0].monitor[0].port[1]: found "22/sctp" (from FILE): expected 1 to 65535 (TCP and UDP), "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as ssh`},
	{monitoring("[{ip: 192.0.2.7, port: [0]}]"), `machines[0].monitor[0].port[0]: found 0 (from FILE): expected 1 to 65535 (TCP and UDP), "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as ssh`},
	{monitoring("[{ip: 192.0.2.7, port: [-1]}]"), `machines[0].monitor[0].port[0]: found -1 (from FILE): expected 1 to 65535 (TCP and UDP), "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as ssh`},
	{monitoring("[{ip: 192.0.2.7, port: [22.5]}]"), `machines[0].monitor[0].port[0]: found 22.5 (from FILE): expected 1 to 65535 (TCP and UDP), "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as ssh`},
	{monitoring("[{ip: 192.0.2.7, port: [~]}]"), `machines[0].monitor[0].port[0]: found nothing (from FILE): expected 1 to 65535 (TCP and UDP), "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as ssh`},
	{monitoring("[{ip: 192.0.2, port: []}]"), `machines[0].monitor[0].ip: found "192.0.2" (from FILE): expected the unicast address of one machine, such as 192.0.2.7 or 2001:db8::7`},
	{monitoring("[{ip: 224.0.0.1, port: []}]"), `machines[0].monitor[0].ip: found "224.0.0.1" (from FILE): expected the unicast address of one machine, such as 192.0.2.7 or 2001:db8::7`},
	{monitoring("[{ip: 255.255.255.255, port: []}]"), `machines[0].monitor[0].ip: found "255.255.255.255" (from FILE): expected the unicast address of one machine, such as 192.0.2.7 or 2001:db8::7`},
	{monitoring("[{ip: '::1', port: []}]"), `machines[0].monitor[0].ip: found "::1" (from FILE): expected the unicast address of one machine, such as 192.0.2.7 or 2001:db8::7`},
	{monitoring("[{ip: '::', port: []}]"), `machines[0].monitor[0].ip: found "::" (from FILE): expected the unicast address of one machine, such as 192.0.2.7 or 2001:db8::7`},
	{monitoring("[{ip: '::ffff:192.0.2.7', port: []}]"), `machines[0].monitor[0].ip: found "::ffff:192.0.2.7" (from FILE): expected the unicast address of one machine, such as 192.0.2.7 or 2001:db8::7`},
	{monitoring("[{ip: 'fe80::1%2', port: []}]"), `machines[0].monitor[0].ip: found "fe80::1%2" (from FILE): expected the unicast address of one machine, such as 192.0.2.7 or 2001:db8::7`},
	{monitoring("[{ip: 192.0.2.7, port: []}, {ip: 192.0.2.7, port: []}]"), `machines[0].monitor[1].ip: found "192.0.2.7" (from FILE): expected one that is not used yet: machines[0].monitor[0].ip is the same`},
	{twoMachines("a", "02:00:00:00:00:02", "192.0.2.8"), `machines[1].name: found "a" (from FILE): expected one that is not used yet: machines[0].name is the same`},
	{twoMachines("b", "02-00-00-00-00-01", "192.0.2.8"), `machines[1].mac: found "02:00:00:00:00:01" (from FILE): expected one that is not used yet: machines[0].mac is the same`},
	{twoMachines("b", "02:00:00:00:00:02", "192.0.2.7"), `machines[1].monitor[1].ip: found "192.0.2.7" (from FILE): expected one that is not used yet: machines[0].monitor[0].ip is the same`},
	{oneMachine("idle_watts: much"), `machines[0].idle_watts: found "much" (from FILE): expected a number of watts from 0 to 100000`},
	{oneMachine("sleep_watts: 51"), `machines[0].sleep_watts: found 51 (from FILE): expected at most energy.idle_watts, which is 50`},
	{oneMachine("idle_watts: 1"), `machines[0].sleep_watts: found 2 (from energy.sleep_watts): expected at most machines[0].idle_watts, which is 1`},
	{oneMachine("idle_watts: 10, sleep_watts: 11"), `machines[0].sleep_watts: found 11 (from FILE): expected at most machines[0].idle_watts, which is 10`},
	{oneMachine("wake_from: 192.0.2.1/24"), `machines[0].wake_from: found "192.0.2.1/24" (from FILE): expected a network such as 192.0.2.0/24 without bits beyond its length, or one address`},
	{oneMachine("wake_from: [home]"), `machines[0].wake_from[0]: found "home" (from FILE): expected a network such as 192.0.2.0/24 without bits beyond its length, or one address`},
	{`machines: [{name: a, mac: 02:00:00:00:00:01, agentless: true}]`, `machines[0].ip: found nothing (from FILE): expected the address of the machine, such as 192.0.2.7, beside ports: [ssh, 445]; or monitor in place of both`},
	{`machines: [{name: a, mac: 02:00:00:00:00:01, agentless: true, monitor: []}]`, `machines[0].monitor: found an empty list (from FILE): expected a list of at least one address, such as {ip: 192.0.2.7, port: [22, "51820/udp", "icmp"]}, or ip and ports in its place`},
	{service("{}"), `machines[0].monitor[0].port[0].port: found nothing (from FILE): expected 1 to 65535 (TCP and UDP), "22/tcp", "51820/udp", "icmp", or a name of /etc/services such as ssh`},
	{service("{port: 22/tcp, redy: x}"), `machines[0].monitor[0].port[0].redy: unknown key (from FILE): did you mean machines[0].monitor[0].port[0].ready?`},
	{service("{port: 80/tcp, ready: http}"), `machines[0].monitor[0].port[0].ready: found "http" (from FILE): expected a path that begins with a slash, without spaces and #`},
	{service("{port: 80/tcp, ready: 5s}"), `machines[0].monitor[0].port[0].ready: found "5s" (from FILE): expected "syn-ack", "http:/path", "https:/path", "http:/path=204", "banner:SSH-2.0" or "delay:5s"`},
	{service("{port: 80, ready: 'http:/'}"), `machines[0].monitor[0].port[0].port: found 80 (from FILE): expected a TCP port, such as "80/tcp", since ready is "http:/"`},
	{service("{port: icmp, established: true}"), `machines[0].monitor[0].port[0].port: found "icmp" (from FILE): expected a TCP port, such as "22/tcp", since it has established`},
	{service("{port: 22/tcp, established: maybe}"), `machines[0].monitor[0].port[0].established: found "maybe" (from FILE): expected true or false`},
	{service("{port: 22/tcp, ready_timeout: 2h}"), `machines[0].monitor[0].port[0].ready_timeout: found "2h" (from FILE): expected a duration with its unit from 10ms to 1h, such as 5s`},
	{service("{port: 22/tcp, ready: 'delay:1m', ready_timeout: 30s}"), `machines[0].monitor[0].port[0].ready_timeout: found "30s" (from FILE): expected more than the delay of ready, which is 1m0s`},
	{service("{port: 22/tcp, ready: 'delay:1m'}"), `machines: found "delay:1m0s" (from FILE): expected a ready_timeout longer than the delay for 22/tcp of "a", since hold.ready_timeout is 1m`},
	{service("{port: 22/tcp, wake_from: [192.0.2.7/24]}"), `machines[0].monitor[0].port[0].wake_from[0]: found "192.0.2.7/24" (from FILE): expected a network such as 192.0.2.0/24 without bits beyond its length, or one address`},
	{service("{port: 22/tcp, ready_timeout: 1m}, {port: 22, ready_timeout: 2m}"), `machines[0].monitor[0].port[1]: found "22/tcp" (from FILE): expected one that has no settings in this list yet`},
	{oneMachine("agentless: 1"), `machines[0].agentless: found 1 (from FILE): expected true or false`},
	{oneMachine("watch: 0"), `machines[0].watch: found 0 (from FILE): expected true or false`},
	{oneMachine("watch: 'no'"), `machines[0].watch: found "no" (from FILE): expected true or false`},
	{oneMachine("password: hunter2"), `machines[0].password: found a hidden value (from FILE): expected a SecureOn password in quotes: six bytes such as 01:23:45:67:89:ab, or four such as 192.0.2.1`},
	{oneMachine("password: '********'"), `machines[0].password: found a hidden value (from FILE): expected a SecureOn password in quotes: six bytes such as 01:23:45:67:89:ab, or four such as 192.0.2.1`},
	{oneMachine("wake_mac: 00:00:00:00:00:00"), `machines[0].wake_mac: found "00:00:00:00:00:00" (from FILE): expected the MAC address of one machine, such as d8:cb:8a:39:be:a1`},
	{oneMachine("wake_mac: 01:00:00:00:00:05"), `machines[0].wake_mac: found "01:00:00:00:00:05" (from FILE): expected the MAC address of one machine, such as d8:cb:8a:39:be:a1`},
	{wakenBy("02:00:00:00:00:02"), `machines[0].wake_mac: found "02:00:00:00:00:02" (from FILE): expected the address of a card of this machine: machines[1].mac is the same`},
	{oneMachine("guests: {}"), `machines[0].guests: found a mapping (from FILE): expected a list of addresses, such as {mac: 52:54:00:12:34:56, ip: 192.0.2.8, port: [22, "51820/udp", "icmp"]}`},
	{oneMachine("guests: [web]"), `machines[0].guests[0]: found "web" (from FILE): expected a mapping with mac, ip and port`},
	{guestIs("ip: 192.0.2.8, port: []"), `machines[0].guests[0].mac: found nothing (from FILE): expected the MAC address of one machine, such as d8:cb:8a:39:be:a1`},
	{guestIs("mac: 01:00:00:00:00:09, ip: 192.0.2.8, port: []"), `machines[0].guests[0].mac: found "01:00:00:00:00:09" (from FILE): expected the MAC address of one machine, such as d8:cb:8a:39:be:a1`},
	{guestIs("mac: 02:00:00:00:00:09, ip: 192.0.2.8"), `machines[0].guests[0].port: found nothing (from FILE): expected a list of ports, such as [ssh, 445]; an empty one claims the address, but no packet wakes`},
	{guestIs("mac: 02:00:00:00:00:09, ip: 224.0.0.1, port: []"), `machines[0].guests[0].ip: found "224.0.0.1" (from FILE): expected the unicast address of one machine, such as 192.0.2.7 or 2001:db8::7`},
	{guestIs("mac: 02:00:00:00:00:09, ip: 192.0.2.7, port: []"), `machines[0].guests[0].ip: found "192.0.2.7" (from FILE): expected one that is not used yet: machines[0].monitor[0].ip is the same`},
	{guestIs("mac: 02:00:00:00:00:01, ip: 192.0.2.8, port: []"), `machines[0].guests[0].mac: found "02:00:00:00:00:01" (from FILE): expected the MAC address of a guest, not of a machine: machines[0].mac is the same`},
	{oneMachine("wake_mac: 02:00:00:00:00:09, guests: [{mac: 02:00:00:00:00:09, ip: 192.0.2.8, port: []}]"), `machines[0].guests[0].mac: found "02:00:00:00:00:09" (from FILE): expected the MAC address of a guest, not of a machine: machines[0].wake_mac is the same`},
	{oneMachine("wake_to: 192.0.2.8, guests: [{mac: 02:00:00:00:00:09, ip: 192.0.2.8, port: []}]"), `machines[0].wake_to: found "192.0.2.8" (from FILE): expected an address other than the machine's own: while it sleeps the porter answers for that`},
	{twoHosts("02:00:00:00:00:01", "192.0.2.9"), `machines[1].guests[0].mac: found "02:00:00:00:00:01" (from FILE): expected the MAC address of a guest, not of a machine: machines[0].mac is the same`},
	{twoHosts("02:00:00:00:00:09", "192.0.2.9"), `machines[1].guests[0].mac: found "02:00:00:00:00:09" (from FILE): expected that of a guest of this machine alone: machines[0] has it too`},
	{twoHosts("02:00:00:00:00:0a", "192.0.2.10"), `machines[1].guests[0].ip: found "192.0.2.10" (from FILE): expected one that is not used yet: machines[0].guests[0].ip is the same`},
	{oneMachine("wake_interface: a/b"), `machines[0].wake_interface: found "a/b" (from FILE): expected the name of a network interface, such as eth0`},
	{oneMachine("wake_transports: [wifi]"), `machines[0].wake_transports[0]: found "wifi" (from FILE): expected ethernet or udp`},
	{oneMachine("wake_transports: []"), `machines[0].wake_transports: found an empty list (from FILE): expected at least one of ethernet and udp, or wake_to or wake_command beside none`},
	{oneMachine("wake_to: 192.0.2.7"), `machines[0].wake_to: found "192.0.2.7" (from FILE): expected an address other than the machine's own: while it sleeps the porter answers for that`},
	{oneMachine("wake_to: 192.0.2"), badTarget("192.0.2")},
	{oneMachine("wake_to: '192.0.2.255:0'"), badTarget("192.0.2.255:0")},
	{oneMachine("wake_to: 255.255.255.255"), badTarget("255.255.255.255")},
	{oneMachine("wake_to: 'fe80::7'"), badTarget("fe80::7")},
	{oneMachine("wake_to: 'ff02::1'"), badTarget("ff02::1")},
	{oneMachine("wake_to: '[2001:db8::9]'"), badTarget("[2001:db8::9]")},
	{oneMachine("wake_command: /usr/bin/wake"), `machines[0].wake_command: found "/usr/bin/wake" (from FILE): expected a list of a program and its arguments, such as [/usr/local/bin/wake, tower]`},
	{oneMachine("wake_command: []"), `machines[0].wake_command: found an empty list (from FILE): expected a list of a program and its arguments, such as [/usr/local/bin/wake, tower]`},
	{oneMachine("wake_command: [wake]"), `machines[0].wake_command[0]: found "wake" (from FILE): expected the absolute path of a program`},
	{oneMachine("wake_command: [/bin/wake, 5]"), `machines[0].wake_command[1]: found 5 (from FILE): expected text of printable characters, in quotes if it looks like a number`},
	{oneMachine("wake_command: [/bin/wake" + strings.Repeat(", a", 64) + "]"), `machines[0].wake_command: found 65 entries (from FILE): expected at most 64`},
	{oneMachine("wake_command: [/" + strings.Repeat("a", 4096) + "]"), `machines[0].wake_command: found 4097 bytes (from FILE): expected at most 4096`},
	{twoMachines("02-00-00-00-00-01", "02:00:00:00:00:02", "192.0.2.8"), `machines[1].name: found "02-00-00-00-00-01" (from FILE): expected a name that is not the MAC address of another machine`},
	{twoMachines("nаs", "02:00:00:00:00:02", "192.0.2.8"), `machines[1].name: found "nаs" (from FILE): expected a name of 1 to 64 visible characters, no slash, no space at either end, no word in letters of two scripts, in quotes if it looks like a number`},
	{twoMachines(`"Caf\u00e9"`, "02:00:00:00:00:02", "192.0.2.8") + `
  - {name: "Cafe\u0301", mac: 02:00:00:00:00:03, monitor: [{ip: 192.0.2.9, port: []}]}`, `machines[2].name: found "Café" (from FILE): expected one that is not used yet: machines[1].name is the same`},
	{oneMachine("passwort: hunter2"), `machines[0].passwort: unknown key (from FILE): did you mean machines[0].password?`},
	{oneMachine("wake.from: []"), `machines[0].wake.from: unknown key (from FILE): did you mean machines[0].wake_from?`},
}

// wakenBy is two machines, of which the first is to be woken by a card.
func wakenBy(card string) string {
	return strings.Replace(twoMachines("b", "02:00:00:00:00:02", "192.0.2.8"), "name: a,", `name: a, wake_mac: "`+card+`",`, 1)
}

// guestIs is a file with one machine that has a guest.
func guestIs(members string) string { return oneMachine("guests: [{" + members + "}]") }

// twoHosts is two machines with a guest each, of which the second one's is given.
func twoHosts(mac, ip string) string {
	s := strings.Replace(twoMachines("b", "02:00:00:00:00:02", "192.0.2.8"), "name: a,", `name: a, guests: [{mac: "02:00:00:00:00:09", ip: 192.0.2.10, port: []}],`, 1)
	return strings.Replace(s, "name: b,", fmt.Sprintf(`name: b, guests: [{mac: %q, ip: %s, port: []}],`, mac, ip), 1)
}

func badTarget(found string) string {
	return fmt.Sprintf(`machines[0].wake_to: found %q (from FILE): expected a unicast or directed broadcast address with or without a port, such as 192.168.7.255, 192.168.7.255:7 or [2001:db8::7]:9`, found)
}

// repeated is n entries, of which each holds its number.
func repeated(n int, format string) string {
	entries := make([]string, n)
	for i := range entries {
		entries[i] = fmt.Sprintf(format, i+1)
	}
	return "[" + strings.Join(entries, ", ") + "]"
}

func TestMachinesAreBounded(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"services", monitoring("[{ip: 192.0.2.7, port: " + repeated(128, "%d") + "}, {ip: 192.0.2.8, port: [icmp]}]"),
			`machines[0].monitor: found 257 services (from FILE): expected at most 256`},
		{"services once each", monitoring("[{ip: 192.0.2.7, port: " + repeated(128, "%d") + "}, {ip: 192.0.2.8, port: []}]"), ""},
		{"addresses", monitoring(repeated(257, "{ip: '2001:db8::%d', port: []}")),
			`machines[0].monitor: found 257 addresses (from FILE): expected at most 256`},
		{"addresses that are few enough", monitoring(repeated(256, "{ip: '2001:db8::%d', port: [1/tcp]}")), ""},
		{"addresses of guests", strings.TrimSuffix(monitoring(repeated(256, "{ip: '2001:db8::%d', port: []}")), "}]") +
			", guests: [{mac: '02:00:00:00:00:09', ip: 192.0.2.8, port: []}]}]",
			`machines[0].guests: found 257 addresses (from FILE): expected at most 256`},
		{"wake_from", oneMachine("wake_from: " + repeated(257, "'2001:db8::%d'")),
			`machines[0].wake_from: found 257 entries (from FILE): expected at most 256`},
		{"wake_from that is short enough", oneMachine("wake_from: " + repeated(256, "'2001:db8::%d'")), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == "" {
				load(t, tt.file, nil)
				return
			}
			refusedFile(t, tt.file, tt.want)
		})
	}
}

// named is a file with one machine, which has the given name and MAC.
func named(members string) string {
	return "machines: [{" + members + ", monitor: [{ip: 192.0.2.7, port: []}]}]"
}

// monitoring is a file with one machine, which has the given addresses.
func monitoring(addresses string) string {
	return "machines: [{name: a, mac: 02:00:00:00:00:01, monitor: " + addresses + "}]"
}

// service is a file with one machine, which has one address with these services.
func service(ports string) string { return monitoring("[{ip: 192.0.2.7, port: [" + ports + "]}]") }

// oneMachine is a file with one good machine and more members.
func oneMachine(more string) string {
	return "machines: [{name: a, mac: 02:00:00:00:00:01, monitor: [{ip: 192.0.2.7, port: []}], " + more + "}]"
}

// twoMachines is a file with two machines, of which the second is given.
func twoMachines(name, mac, ip string) string {
	return fmt.Sprintf(`machines:
  - {name: a, mac: "02:00:00:00:00:01", monitor: [{ip: 192.0.2.7, port: []}]}
  - {name: %s, mac: %s, monitor: [{ip: "2001:db8::8", port: []}, {ip: %s, port: []}]}`, name, mac, ip)
}

func TestBadMachines(t *testing.T) {
	for _, tt := range badMachines {
		t.Run(tt.file, func(t *testing.T) { refusedFile(t, tt.file, tt.want) })
	}
}
