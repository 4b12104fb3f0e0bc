// Package shell writes text into commands that are printed for a user to paste.
package shell

import "strings"

// Quote returns s as one word of a POSIX shell (POSIX.1-2017 section 2.2.2). A plain
// word stays as it is.
func Quote(s string) string {
	special := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_@%+=:,./-", r)
	}
	if s != "" && strings.IndexFunc(s, special) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
