package web

import (
	"cmp"
	"strings"
)

// naturally orders names as people do: without regard to case, and numbers by their
// value, so that vm-2 comes before vm-10.
func naturally(a, b string) int {
	x, y := strings.ToLower(a), strings.ToLower(b)
	for x != "" && y != "" {
		var p, q string
		p, x = run(x)
		q, y = run(y)
		if c := compareRuns(p, q); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

// run cuts off the digits that s begins with, or all before the next digit.
func run(s string) (first, rest string) {
	digits := isDigit(s[0])
	end := 1
	for end < len(s) && isDigit(s[end]) == digits {
		end++
	}
	return s[:end], s[end:]
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func compareRuns(p, q string) int {
	if isDigit(p[0]) && isDigit(q[0]) {
		p, q = strings.TrimLeft(p, "0"), strings.TrimLeft(q, "0")
		return cmp.Or(cmp.Compare(len(p), len(q)), strings.Compare(p, q))
	}
	return strings.Compare(p, q)
}
