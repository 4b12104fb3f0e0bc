package main

import (
	"errors"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"nightporter/internal/config"
)

// The example has three parts: what most people set, every key with its default, and every
// setting of a machine. The one in the middle is written here.
const (
	titleKeys    = "# ---- Advanced: every key with its default ----\n"
	titleMachine = "# ---- Advanced: every setting of a machine ----\n"
)

// exampleWidth is the longest line of that part, in bytes.
const exampleWidth = 80

// writeExample writes the keys into the example at a path.
func writeExample(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	example, err := withKeys(string(b))
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(example), 0o644)
}

// withKeys returns an example with the keys of the table in its second part.
func withKeys(example string) (string, error) {
	first, rest, hasKeys := strings.Cut(example, titleKeys)
	_, machine, hasMachine := strings.Cut(rest, titleMachine)
	if !hasKeys || !hasMachine {
		return "", errors.New("found no titles of the keys and of the machine")
	}
	return first + titleKeys + "\n" + keysOf(config.Keys()) + "\n" + titleMachine + machine, nil
}

// sections are the comments of sections.
func sections() map[string]string {
	return map[string]string{
		"registration": "How machines announce that they are about to sleep.",
		"probe":        "How to find out that a machine is off.",
		"watch":        "How to notice a machine that goes off without an announcement.",
		"claim":        "How to answer for a machine that is off.",
		"hold":         "The handover to a machine that has booted.",
		"notify":       "Notifications. Each service has its own form of URL, see https://shoutrrr.nickfedor.com.",
	}
}

// keysOf returns every key but machines, commented out, with its help and its default.
func keysOf(keys []config.Key) string {
	var b strings.Builder
	current := ""
	for _, k := range keys {
		if k.Path == "machines" {
			continue
		}
		section, name, nested := strings.Cut(k.Path, ".")
		if !nested {
			section, name = "", k.Path
		}
		if section != current || !nested {
			b.WriteString("\n")
		}
		if section != current && nested {
			comment(&b, "# ", sections()[section])
			b.WriteString("#" + section + ":\n")
		}
		current = section
		indent, prefix := "", "# "
		if nested {
			indent, prefix = "  ", "#  # "
		}
		help := sentence(k.Help)
		if k.Restart {
			help += " [restart]"
		}
		comment(&b, prefix, help)
		b.WriteString("#" + indent + name + ": " + k.Default + "\n")
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// sentence returns the help of a key with a capital at the beginning and a full stop. A help that
// begins with a value of the key ("true: ...") stays as it is.
func sentence(help string) string {
	if first, _, _ := strings.Cut(help, " "); !strings.HasSuffix(first, ":") {
		r, n := utf8.DecodeRuneInString(help)
		help = string(unicode.ToUpper(r)) + help[n:]
	}
	return help + "."
}

// comment writes text in lines that begin with prefix.
func comment(b *strings.Builder, prefix, text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(prefix)+len(line)+1+len(word) > exampleWidth {
			b.WriteString(prefix + line + "\n")
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line != "" {
		b.WriteString(prefix + line + "\n")
	}
}
