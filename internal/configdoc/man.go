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

// notes is what the page says of a key.
func notes(k config.Key) string {
	text := k.Help + "."
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
which stands behind it below. Nothing has to be configured but the machines that do not register.

Keys come from the defaults, the file, the environment and flags of nightporter-serve(1); what is
later in this list wins. The variable of a key is named with it: it has two underscores between
levels, and commas between the entries of a list. The flag of wake.attempts is ` + "`--wake.attempts`" + `.
Secrets belong into ` + "`" + config.DefaultEnvironment + "`" + `, mode 600, which systemd reads.

` + "`nightporter check`" + ` says whether the configuration is right, and what then holds.
` + "`systemctl reload nightporter`" + ` takes it over. A bad file changes nothing.

Durations have a unit: 10s, 5m, 1h30m. A single value is taken for a list of one. An unknown key is
an error.`

const manualMachines = `The machines that are known without registering, and what is said of machines that do. This
entry shows every setting of a machine:`

const manualExample = `machines:
  - {name: nas, mac: "d8:cb:8a:39:be:a1", ip: 192.168.1.20, ports: [ssh, smb], agentless: true}
wake:
  local: true
  timeout: 10m
notify:
  urls: ["ntfy://ntfy.sh/your-topic"]
`
