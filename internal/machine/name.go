package machine

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"nightporter/internal/ether"
)

// maxNameLength bounds a name, in characters: it becomes a metric label and a
// path segment.
const maxNameLength = 64

// maxMarks is how many marks may stand on one letter (UTS 39 section 5.4).
const maxMarks = 4

// ParseName returns the name of a machine in the form in which it is kept: NFKC, in
// which one text has one spelling, and without the selectors of an emoji's colors.
func ParseName(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%q is not UTF-8", s)
	}
	name := norm.NFKC.String(strings.Map(func(r rune) rune {
		if r == 0xfe0e || r == 0xfe0f { // emoji presentation (UTS 51)
			return -1
		}
		return r
	}, s))
	return name, CheckName(name)
}

// CheckName returns what is wrong with a machine's name, or nil. A name has to be
// visible, and distinguishable by what is visible.
func CheckName(name string) error {
	n := utf8.RuneCountInString(name)
	switch {
	case n == 0:
		return errors.New("an empty name: expected 1 to 64 printable characters")
	case !utf8.ValidString(name):
		return fmt.Errorf("%q is not UTF-8", name)
	case n > maxNameLength:
		return fmt.Errorf("a name of %d characters: expected at most %d", n, maxNameLength)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("%q begins or ends with a space", name)
	case name == "." || name == "..":
		return fmt.Errorf("%q cannot be a path segment", name)
	case !norm.NFKC.IsNormalString(name):
		return fmt.Errorf("%q is not normal: expected the form NFKC of Unicode", name)
	}
	for _, r := range name {
		switch {
		case r == '/' || !unicode.IsPrint(r):
			return fmt.Errorf("%q contains %q: expected printable characters other than a slash", name, r)
		case invisible(r):
			return fmt.Errorf("%q contains %U, which cannot be seen: expected visible characters", name, r)
		}
	}
	if err := checkMarks(name); err != nil {
		return err
	}
	return checkScripts(name)
}

// invisible reports whether a printable character shows nothing by itself.
func invisible(r rune) bool {
	switch r {
	case 0x2800, // braille pattern without a dot
		0xfffc,           // in place of an object
		0x13441, 0x13442, // blanks of Egyptian hieroglyphs
		0x1d159: // musical null notehead
		return true
	}
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// checkMarks rejects combining marks without a letter, and stacks of marks, of which
// one can hide another.
func checkMarks(name string) error {
	marks, before := maxMarks, rune(0)
	for _, r := range name {
		switch {
		case !unicode.In(r, unicode.Mn, unicode.Me):
			marks, before = 0, r
			if r == ' ' {
				marks = maxMarks
			}
			continue
		case marks == maxMarks || r == before:
			return fmt.Errorf("%q contains %U, a mark on nothing or on others like it: expected at most %d marks on a letter", name, r, maxMarks)
		}
		marks, before = marks+1, r
	}
	return nil
}

// CleanName returns an allowed name for a machine that had another one: that name
// without the characters that are not allowed, or else the MAC.
func CleanName(name string, mac ether.MAC) string {
	if kept, err := ParseName(name); err == nil {
		return kept
	}
	kept, err := ParseName(strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '/' || r == utf8.RuneError || !unicode.IsPrint(r) || invisible(r) {
			return -1
		}
		return r
	}, norm.NFKC.String(strings.ToValidUTF8(name, "")))))
	if err != nil {
		return mac.String()
	}
	return kept
}

// Numbered returns the n-th variant of a name that is taken: "nas-2".
func Numbered(name string, n int) string {
	suffix := "-" + strconv.Itoa(n)
	all := []rune(name)
	if most := maxNameLength - len(suffix); len(all) > most {
		name = strings.TrimRight(string(all[:most]), " ")
	}
	return name + suffix
}

// NumberOf returns n if one is Numbered(name, n), and 0 otherwise.
func NumberOf(one, name string) int {
	n, err := strconv.Atoi(one[strings.LastIndexByte(one, '-')+1:])
	if err != nil || n < 2 || Numbered(name, n) != one {
		return 0
	}
	return n
}

// MACInName returns the MAC address that a name begins with: six bytes in hexadecimal,
// with any separator between two of them, since many characters look like a colon or a
// dash.
func MACInName(name string) (mac ether.MAC, ok bool) {
	rest := []rune(name)
	for i := range mac {
		if i > 0 {
			if len(rest) == 0 || unicode.In(rest[0], unicode.L, unicode.Nd) {
				return ether.MAC{}, false
			}
			rest = rest[1:]
		}
		if len(rest) < 2 {
			return ether.MAC{}, false
		}
		value, err := strconv.ParseUint(string(rest[:2]), 16, 8)
		if err != nil {
			return ether.MAC{}, false
		}
		mac[i], rest = byte(value), rest[2:]
	}
	return mac, len(rest) == 0 || !unicode.In(rest[0], unicode.L, unicode.Nd)
}

// writingSystems are the scripts that are written together.
var writingSystems = [][]string{
	{"Latin", "Han", "Hiragana", "Katakana"},
	{"Latin", "Han", "Bopomofo"},
	{"Latin", "Han", "Hangul"},
}

// checkScripts rejects a word with letters of several scripts, such as "nаs" with a
// Cyrillic a. This is level "highly restrictive" of UTS 39 section 5.2, for each word
// by itself: a name such as "NAS дом" has two scripts and misleads no reader.
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

// scriptOf returns the script of a letter, or nothing for characters that many scripts
// share.
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
