package conventions

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// banned are words and idioms that a reader has to decode, each with what to write instead.
// Phrases are whole words in lower case; a star at the end stands for any ending.
var banned = []struct {
	instead string
	phrases []string
}{
	{"name who: a client, a host, the user", []string{"somebody", "nobody", "anybody", "everybody", "someone else", "whoever", "whomever", "whosoever"}},
	{"receives, learns, is notified: name the packet or the call", []string{
		"is told", "are told", "was told", "were told", "be told", "been told", "being told", "get told", "gets told",
	}},
	{"because there is no", []string{"for want of", "for lack of"}},
	{"is ignored", []string{"none of our business", "none of its business", "none of their business", "none of your business"}},
	{"handover", []string{"hand-over", "hand-overs", "handing-over"}},
	{"neighbor", []string{"neighbour*"}},
	{"plain words", []string{
		"in earnest", "no more is", "more than once too often", "ever so", "as it were", "so to speak", "to and fro", "not for long", "of an evening",
		"henceforth", "thereupon", "whereupon", "therein", "thereof", "hitherto", "forthwith", "lest", "ere", "ought to", "nought", "naught",
	}},
	{"name the act", []string{"know nothing of", "knows nothing of", "has no say", "have no say", "has its say", "in vain", "by heart", "at a loss"}},
	{"name the act: answers, refuses, closes, evicts, yields, releases", []string{
		"speak for itself", "speaks for itself", "speak up", "speaks up", "turn away", "turns away", "turned away",
		"give way", "gives way", "gave way", "giving way",
	}},
}

// octets are what RFCs call bytes. Only the package of packet formats may say so.
var octets = []string{"octet", "octets"}

// oneLine is a text in lower case with single blanks in place of all white space, also of that
// which ends a line of a comment.
type oneLine struct {
	text   string
	starts []int // where each line begins
}

func newOneLine(text string) oneLine {
	var b strings.Builder
	b.Grow(len(text))
	var starts []int
	for line := range strings.Lines(text) {
		starts = append(starts, b.Len())
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.Trim(fields[0], "/#*>|") == "" {
			fields = fields[1:]
		}
		for _, f := range fields {
			b.WriteString(strings.ToLower(f))
			b.WriteByte(' ')
		}
	}
	return oneLine{b.String(), starts}
}

// find calls f with the number of each line where a phrase begins.
func (o oneLine) find(phrase string, f func(line int)) {
	stem, anyEnd := strings.CutSuffix(phrase, "*")
	for from := 0; ; {
		i := strings.Index(o.text[from:], stem)
		if i < 0 {
			return
		}
		start, end := from+i, from+i+len(stem)
		from = end
		if start > 0 && isLetter(o.text[start-1]) || !anyEnd && end < len(o.text) && isLetter(o.text[end]) {
			continue
		}
		line, exact := slices.BinarySearch(o.starts, start)
		if exact {
			line++
		}
		f(line)
	}
}

// accountName is the account of user ID 65534, which internal/privilege names.
var accountName = regexp.MustCompile(`\bnobody\b`)

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || c == '_' }

// hotel are nouns that say nothing about a network. No identifier has them.
var hotel = []string{
	"chore", "chronicle", "clerk", "courier", "desk", "farewell", "house", "inhabitant",
	"lobby", "oblivion", "resident", "sentry", "slumber", "tale", "usher", "vigil", "visitor",
}

// TestLanguage: plain English in all that a person wrote.
func TestLanguage(t *testing.T) {
	for _, f := range tree(t) {
		if f.path == languageRules {
			continue
		}
		written := strings.ReplaceAll(f.text, "http.NoBody", "")
		if strings.HasPrefix(f.path, "internal/privilege/") {
			written = accountName.ReplaceAllString(written, "")
		}
		text := newOneLine(written)
		check := func(instead string, phrases []string) {
			for _, phrase := range phrases {
				text.find(phrase, func(line int) {
					t.Errorf("%s:%d: found %q, expected: %s", f.path, line, phrase, instead)
				})
			}
		}
		for _, b := range banned {
			check(b.instead, b.phrases)
		}
		if !strings.HasPrefix(f.path, "internal/lan/") {
			check("bytes", octets)
		}
	}
}

func TestOneLine(t *testing.T) {
	text := newOneLine("// It is for\n\t// want of a Lesson,\n\n// least ERE.\nlest\n")
	for phrase, want := range map[string][]int{"for want of": {1}, "lest": {5}, "ere": {4}, "less*": {2}, "less": nil} {
		var got []int
		text.find(phrase, func(line int) { got = append(got, line) })
		if !slices.Equal(got, want) {
			t.Errorf("%q: found in lines %v, expected %v", phrase, got, want)
		}
	}
}

// languageRules is the file that has the words.
const languageRules = "internal/conventions/language_test.go"

// TestIdentifiers: names are the field's own.
func TestIdentifiers(t *testing.T) {
	for _, f := range goTree(t) {
		if f.path == languageRules {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				for _, word := range words(id.Name) {
					if i, found := slices.BinarySearch(hotel, strings.TrimSuffix(word, "s")); found {
						t.Errorf("%s: found identifier %s, expected no %q in it", positions.Position(id.Pos()), id.Name, hotel[i])
					}
				}
			}
			return true
		})
	}
}

// words returns the words of an identifier in lower case.
func words(name string) []string {
	var all []string
	start := 0
	runes := []rune(name)
	for i := 1; i <= len(runes); i++ {
		if i == len(runes) || unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1]) {
			all = append(all, strings.ToLower(string(runes[start:i])))
			start = i
		}
	}
	return all
}
