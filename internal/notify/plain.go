package notify

import (
	"strings"
	"unicode"
)

// plain makes text from the LAN harmless wherever it is shown: what would control
// a terminal or the order of the text, make a mail header, or mean something in
// HTML, in Markdown or to a chat (a tag, a link, "@everyone") is replaced. Services
// differ in what they take for markup, so nothing is escaped.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		case strings.ContainsRune("<>&@#*`~|\\[]{}", r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}
