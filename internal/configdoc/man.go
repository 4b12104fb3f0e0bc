package main

import (
	"os"
	"strings"

	"nightporter/internal/config"
	"nightporter/internal/roff"
)

// writeManual renders the manual page nightporter.yaml(5) from the example into a file.
func writeManual(example, path, source string) error {
	machine, err := readMachine(example)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(manual(machine, source)), 0o644)
}

// manual returns the page; machine is the entry that shows every setting of a machine,
// source the program with its version.
func manual(machine, source string) string {
	p := roff.NewPage("nightporter.yaml", "5", source, "nightporter")
	p.Section("NAME")
	p.Text("nightporter.yaml - the configuration of nightporter")
	p.Section("SYNOPSIS")
	p.Text("`" + config.DefaultPath + "`")
	p.Section("DESCRIPTION")
	p.Text(manualHead)
	p.Section("KEYS")
	writeKeys(p)
	p.Section("MACHINES")
	p.Text(manualMachines)
	p.Code(machine)
	p.Section("EXAMPLES")
	p.Code(manualExample)
	p.Section("SEE ALSO")
	p.Text("nightporter(1), nightporter-check(1), nightporter-serve(1)")
	return p.String()
}

// writeKeys lists every key but machines, by section.
func writeKeys(p *roff.Page) {
	section := ""
	for _, k := range config.Keys() {
		if k.Path == "machines" {
			continue
		}
		if of, _, nested := strings.Cut(k.Path, "."); nested && of != section {
			section = of
			p.Subsection(of)
		}
		p.Item(k.Path+": "+k.Default, notes(k))
	}
}

// notes returns the description of a key.
func notes(k config.Key) string {
	text := sentence(k.Help)
	if k.Env == "" {
		text += " Only a file can hold it."
	} else {
		text += "\n\n" + k.Env
	}
	if k.Restart {
		text += "\n\nA change takes a restart."
	}
	return text
}

const manualHead = `The configuration is a file in YAML. It may be empty or missing: each key has a default,
which is shown below. Only the machines that do not register must be configured.

Values come from the defaults, the file, the environment and flags of nightporter-serve(1); the
last of these wins. The variable of a key is shown with it: it has two underscores between
levels. Its value has commas between the entries of a list. The flag of wake.attempts is ` + "`--wake.attempts`" + `.
Secrets belong in ` + "`" + config.DefaultEnvironment + "`" + `, mode 600, which systemd reads.

` + "`nightporter check`" + ` checks the configuration, and prints the values in effect.
` + "`systemctl reload nightporter`" + ` applies a changed file. A file with an error changes nothing.

Durations have a unit: 10s, 5m, 1h30m. A single value is a list of one. An unknown key is
an error.`

const manualMachines = `Machines that are known without registering, and settings of machines that register. This
entry shows every setting of a machine:`

const manualExample = `machines:
  - {name: nas, mac: "d8:cb:8a:39:be:a1", ip: 192.168.1.20, ports: [ssh, smb], agentless: true}
wake:
  local: true
  timeout: 10m
notify:
  urls: ["ntfy://ntfy.sh/your-topic"]
`
