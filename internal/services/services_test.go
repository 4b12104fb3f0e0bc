package services_test

import (
	"strings"
	"testing"

	"nightporter/internal/machine"
	"nightporter/internal/services"
)

const file = `# a comment
ssh		22/tcp				# SSH Remote Login Protocol
http		80/tcp		www WWW2	# two aliases
syslog		514/udp
shell		514/tcp		cmd
domain		53/udp
domain		5353/tcp
ddp		4/ddp
broken		tcp
none		0/tcp
large		65536/tcp
alone
`

func TestParse(t *testing.T) {
	names := services.Parse(file)
	for name, want := range map[string]uint16{
		"ssh": 22, "http": 80, "www": 80, "www2": 80, "syslog": 514, "shell": 514, "cmd": 514,
		"domain": 53, // the first port counts
		"ddp":    0, "broken": 0, "none": 0, "large": 0, "alone": 0, "#": 0,
	} {
		if got := names[name]; got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

func TestPort(t *testing.T) {
	names := services.Parse(file)
	for entry, want := range map[string]string{
		"ssh": "22", "SSH": "22", "ssh/tcp": "22/tcp", "ssh/sctp": "22/sctp", "www": "80",
		"22": "22", "22/tcp": "22/tcp", "icmp": "icmp", "": "", "/tcp": "/tcp", "nothing": "nothing", "nothing/udp": "nothing/udp",
	} {
		if got := names.Port(entry); got != want {
			t.Errorf("%q is %q, want %q", entry, got, want)
		}
	}
}

// The names that people type first are known on every host.
func TestLoadKnowsTheUsual(t *testing.T) {
	names := services.Load()
	for entry, want := range map[string]string{"ssh": "22", "smb": "445", "http": "80", "nfs": "2049", "rdp": "3389"} {
		if got := names.Port(entry); got != want {
			t.Errorf("%q is %q, want %q", entry, got, want)
		}
	}
	if all := names.Sorted(); len(all) != len(names) || all[0] > all[1] {
		t.Errorf("sorted: %q ...", all[:2])
	}
}

// FuzzParse: every name of any file is a port, which is the same with a protocol.
func FuzzParse(f *testing.F) {
	f.Add(file)
	f.Add("ssh 22/tcp\rssh 23/tcp")
	f.Fuzz(func(t *testing.T, text string) {
		names := services.Parse(text)
		for _, name := range names.Sorted() {
			if name != strings.ToLower(name) || strings.ContainsAny(name, " \t\n#") {
				t.Fatalf("name %q", name)
			}
			if strings.Contains(name, "/") {
				continue // what is behind the slash is a protocol
			}
			ports, err := machine.ParsePort(names.Port(name))
			if err != nil || len(ports) != 2 || ports[0].Number != names[name] {
				t.Fatalf("%q is %v: %v", name, ports, err)
			}
			if only, err := machine.ParsePort(names.Port(name + "/tcp")); err != nil || len(only) != 1 || only[0] != ports[0] {
				t.Fatalf("%q is %v: %v", name+"/tcp", only, err)
			}
		}
	})
}
