package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// quoted is what a secret has to be that is not spelled so that YAML takes it as it is.
const quoted = `another spelling, since it is a secret: write it in quotes, or "" for none`

// checkSecrets refuses secrets that may mean something else in YAML than meant: one that
// begins with "#", "&" or "!" would be none. root is the mapping of a whole file, b.
func (p *parser) checkSecrets(b []byte, root *yaml.Node) {
	text := linesOf(b)
	for _, section := range slices.Sorted(maps.Keys(p.table.withSecrets)) {
		for _, n := range valuesOf(root, section) {
			at := place{report: p.report, key: section, path: section, origin: p.origin, line: p.line}
			if found := text.misspelled(n, secretForm); resolve(n).Kind == yaml.ScalarNode && found != "" && found != nothing {
				at.misspelled(found) // else all that was below it may be commented out
			}
		}
	}
	for _, k := range p.table.keys {
		if k.secret == notSecret && k.members == nil {
			continue
		}
		at := place{report: p.report, key: k.path, path: k.path, origin: p.origin, line: p.line, secret: true}
		for _, n := range atPath(root, k.path) {
			if k.secret != notSecret {
				text.check(at, n, k.secret)
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
func (l lines) check(p place, n *yaml.Node, s secretKind) {
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
func (l lines) misspelled(n *yaml.Node, s secretKind) string {
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
	case s == secretText && n.LineComment != "":
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
	p.report.misspelled[p.path] = true
}
