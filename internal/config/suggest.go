package config

import "strings"

// maxMisspelt bounds, in bytes, the keys for which a suggestion is sought: the
// comparison costs the product of both lengths.
const maxMisspelt = 64

// Suggest is suggest for the names of flags.
func Suggest(name string, known []string) string { return suggest(name, known) }

// suggest returns the known key that name was probably meant to be: the one
// that differs least, if it differs little, or else the only one whose last
// word does. It returns "" if there is none.
func suggest(name string, known []string) string {
	if len(name) > maxMisspelt {
		return ""
	}
	name = strings.ToLower(name)
	if near := nearest(name, known, func(k string) string { return k }); len(near) > 0 {
		return near[0]
	}
	if near := nearest(lastWord(name), known, lastWord); len(near) == 1 {
		return near[0]
	}
	return ""
}

// nearest returns the known keys whose part differs least from name, and at
// most in every third letter.
func nearest(name string, known []string, part func(string) string) []string {
	var near []string
	least := max(1, min(3, len(name)/3))
	for _, k := range known {
		switch d := distance(name, part(k)); {
		case d < least:
			near, least = []string{k}, d
		case d == least:
			near = append(near, k)
		}
	}
	return near
}

func lastWord(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// distance counts the letters to add, drop, replace or swap with a neighbor
// to make b from a (the optimal string alignment distance).
func distance(a, b string) int {
	older := make([]int, len(b)+1)
	above := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := above[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, above, row = above, row, older
	}
	return above[len(b)]
}
