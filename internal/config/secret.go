package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// secrecy is what has to be known of the spelling of a secret in a file.
type secrecy uint8

const (
	open   secrecy = iota // no secret
	formed                // a secret that has a form, such as a URL: a comment cannot be part of it
	free                  // any text: what looks like a comment may be meant as a part of it
)

// quoted is what a secret has to be that is not spelled so that YAML takes it as it is.
const quoted = `another spelling, since it is a secret: write it in quotes, or "" for none`

// nothing is found where a key has no value.
const nothing = "nothing"

// checkSecrets refuses secrets that may mean something else in YAML than meant: one that
// begins with "#", "&" or "!" would be none. root is the mapping of a whole file, b.
func (p *parser) checkSecrets(b []byte, root *yaml.Node) {
	text := linesOf(b)
	for _, section := range slices.Sorted(maps.Keys(p.table.guarded)) {
		for _, n := range valuesOf(root, section) {
			at := place{report: p.report, key: section, path: section, origin: p.origin, line: p.line}
			if found := text.misspelled(n, formed); resolve(n).Kind == yaml.ScalarNode && found != "" && found != nothing {
				at.misspelled(found) // else all that was below it may be commented out
			}
		}
	}
	for _, k := range p.table.keys {
		if k.secrecy == open && k.members == nil {
			continue
		}
		at := place{report: p.report, key: k.path, path: k.path, origin: p.origin, line: p.line, secret: true}
		for _, n := range atPath(root, k.path) {
			if k.secrecy != open {
				text.check(at, n, k.secrecy)
				continue
			}
			for i, entry := range resolve(n).Content {
				for name, s := range k.members {
					for _, n := range valuesOf(entry, name) {
						text.check(at.entry(i).member(name), n, s)
					}
				}
			}
		}
	}
}

// lines are those of a file, as YAML counts them; none if it is not UTF-8.
type lines []string

func linesOf(b []byte) lines {
	if !utf8.Valid(b) {
		return nil
	}
	return regexp.MustCompile("\r\n|[\r\n\u0085\u2028\u2029]").Split(strings.TrimPrefix(string(b), "\ufeff"), -1)
}

// check refuses a secret, or a list of them, that is not plain or quoted text.
func (l lines) check(p place, n *yaml.Node, s secrecy) {
	if found := l.misspelled(n, s); found != "" {
		p.misspelled(found)
		return
	}
	if n.Kind == yaml.SequenceNode {
		for i, entry := range n.Content {
			l.check(p.entry(i), entry, s)
		}
	}
}

// misspelled says what of a secret in a file is not its text, or nothing.
func (l lines) misspelled(n *yaml.Node, s secrecy) string {
	switch {
	case n.Kind == yaml.AliasNode:
		return "an alias (*)"
	case n.Anchor != "":
		return "an anchor (&)"
	case n.Style&yaml.TaggedStyle != 0:
		return "a tag (!)"
	case n.Kind != yaml.ScalarNode || n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		return ""
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return "a block of text (| or >)"
	case n.Tag == "!!null":
		return nothing
	case s == free && n.LineComment != "":
		return "a comment behind the value"
	case !l.holds(n):
		return "a text that YAML takes for another"
	}
	return ""
}

// holds reports whether a plain value stands in the file as it was read.
func (l lines) holds(n *yaml.Node) bool {
	if n.Line > len(l) {
		return l == nil
	}
	from := []rune(l[n.Line-1])
	return n.Column <= len(from) && strings.HasPrefix(string(from[n.Column-1:]), n.Value)
}

// misspelled reports what was found in place of a secret. No other error about it follows.
func (p place) misspelled(found string) {
	p.secret = false // what was found is a word of ours
	p.wrong(amount(found), quoted)
	p.report.refused[p.path] = true
}

// atPath returns the values that a file has for a key of the table.
func atPath(root *yaml.Node, path string) []*yaml.Node {
	section, name, nested := strings.Cut(path, ".")
	if !nested {
		return valuesOf(root, path)
	}
	var found []*yaml.Node
	for _, n := range valuesOf(root, section) {
		found = append(found, valuesOf(n, name)...)
	}
	return found
}

// valuesOf returns the values of a key of a mapping, also those that it takes over from
// others with "<<".
func valuesOf(n *yaml.Node, name string) (found []*yaml.Node) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			found = append(found, valuesOfMerged(value, name)...)
		case key.Value == name:
			found = append(found, value)
		}
	}
	return found
}

func valuesOfMerged(n *yaml.Node, name string) (found []*yaml.Node) {
	if n = resolve(n); n.Kind != yaml.SequenceNode {
		return valuesOf(n, name)
	}
	for _, m := range n.Content {
		found = append(found, valuesOf(m, name)...)
	}
	return found
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// hiddenKey stands for a key that does not exist in a place where secrets are.
const hiddenKey = "a key that is not shown, since it may be a part of a secret"

// unknownKey returns the error about a key beside a secret. A secret that was mistyped,
// as in {token:S3cret} or {token: S3,cret}, is such a key: so one that is not like any
// other, and has no value or not the form of ours, is not repeated.
func unknownKey(prefix, name string, value any, suggestion string) *UnknownKeyError {
	err := &UnknownKeyError{Key: prefix + printable(name), Suggestion: suggestion}
	if suggestion == "" && (value == nil || !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(name)) {
		err.Key = strings.TrimSuffix(prefix, ".") + ": " + hiddenKey
	}
	return err
}
