// Command configdoc writes the keys into config.example.yaml, and docs/configuration.md from the
// table of keys and from the machine of the example. With -man FILE it writes the manual page
// nightporter.yaml(5) instead. Run it at the top of the repository: make docs, make packages.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"nightporter/internal/config"
)

const (
	examplePath = "config.example.yaml"
	pagePath    = "docs/configuration.md"
)

func main() {
	man := flag.String("man", "", "write the manual page into this `FILE`")
	source := flag.String("source", "nightporter", "the program and `VERSION` that the manual page names")
	flag.Parse()
	var err error
	if *man == "" {
		if err = writeExample(examplePath); err == nil {
			err = write(examplePath, pagePath)
		}
	} else {
		err = writeManual(examplePath, *man, *source)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "configdoc:", err)
		os.Exit(1)
	}
}

// write renders the page from the example at one path into the other.
func write(example, page string) error {
	machine, err := readMachine(example)
	if err != nil {
		return err
	}
	return os.WriteFile(page, []byte(render(machine)), 0o644)
}

// readMachine returns the entry of a machine in the example at a path.
func readMachine(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	machine, err := machineOf(string(b))
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return machine, nil
}

// render returns the page; machine is the entry that shows every setting of a machine.
func render(machine string) string {
	var b strings.Builder
	b.WriteString(head)
	section := "-"
	for _, k := range config.Keys() {
		if k.Path == "machines" {
			continue
		}
		of, _, nested := strings.Cut(k.Path, ".")
		if !nested {
			of = ""
		}
		if of != section {
			section = of
			title(&b, of)
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", k.Path, k.Default, cell(k))
	}
	fmt.Fprintf(&b, machines, machine)
	return b.String()
}

// title writes the title and the head of the table of a section.
func title(b *strings.Builder, section string) {
	if section == "" {
		section = "general"
	}
	fmt.Fprintf(b, "\n## %s\n\n| key | default | what it does |\n| --- | --- | --- |\n", section)
}

// cell returns the description of a key for the table.
func cell(k config.Key) string {
	text := strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(sentence(k.Help))
	if k.Env == "" {
		text += " **[file only]**"
	}
	if k.Restart {
		text += " **[restart]**"
	}
	return text
}

// machineOf returns the entry that shows every setting of a machine, the last part of the
// example, without its comment signs.
func machineOf(example string) (string, error) {
	const begin = "\n#machines:\n"
	at := strings.LastIndex(example, begin)
	if at < 0 {
		return "", fmt.Errorf("found no line #machines: before an example of a machine")
	}
	var b strings.Builder
	for line := range strings.Lines(example[at+1:]) {
		text, isComment := strings.CutPrefix(line, "#")
		if !isComment {
			return "", fmt.Errorf("found %q in the example of a machine: expected a comment", line)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
