package machine

import (
	"fmt"
	"slices"
	"unicode"
)

// writingSystems are the scripts that are written together.
var writingSystems = [][]string{
	{"Latin", "Han", "Hiragana", "Katakana"},
	{"Latin", "Han", "Bopomofo"},
	{"Latin", "Han", "Hangul"},
}

// checkScripts refuses a word whose letters are of several scripts, as in "nаs" with a
// Cyrillic a. That is level "highly restrictive" of UTS 39 section 5.2, for each word by
// itself: a name such as "NAS дом" is of two scripts and misleads no reader.
func checkScripts(name string) error {
	var word []string
	for _, r := range name {
		if !unicode.In(r, unicode.L, unicode.M, unicode.N) {
			word = word[:0]
			continue
		}
		script := scriptOf(r)
		if script == "" || slices.Contains(word, script) {
			continue
		}
		word = append(word, script)
		if len(word) > 1 && !slices.ContainsFunc(writingSystems, func(all []string) bool {
			return !slices.ContainsFunc(word, func(s string) bool { return !slices.Contains(all, s) })
		}) {
			return fmt.Errorf("%q has letters of the scripts %s and %s in one word: expected those of one", name, word[0], script)
		}
	}
	return nil
}

// scriptOf returns the script that a letter belongs to, or nothing for what many scripts
// have in common.
func scriptOf(r rune) string {
	switch {
	case !unicode.IsLetter(r):
		return ""
	case unicode.Is(unicode.Latin, r):
		return "Latin"
	}
	for name, table := range unicode.Scripts {
		if name != "Common" && name != "Inherited" && unicode.Is(table, r) {
			return name
		}
	}
	return ""
}
