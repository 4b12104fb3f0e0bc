// Package yamlerror rewrites the errors of a YAML library so that they repeat nothing of the
// file.
//
// The library repeats anchors, keys and values. Any of them may be a password on the wrong
// line, and errors are printed and logged.
package yamlerror

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Plain returns an error with the lines and the known phrases of err. It leaves out the rest.
func Plain(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var found []string
	for _, m := range regexp.MustCompile(`(?m)^ *line ([0-9]+): (.*)$`).FindAllStringSubmatch(text, -1) {
		found = append(found, "line "+m[1]+": "+phrase(m[2]))
	}
	if found == nil {
		return errors.New(phrase(text))
	}
	return errors.New(strings.Join(found, "; "))
}

// PlainAt is Plain with the line of the error.
func PlainAt(line int, err error) error {
	text := regexp.MustCompile(`^(yaml: )?(line [0-9]+: )?`).ReplaceAllString(err.Error(), "")
	return fmt.Errorf("line %d: %s", line, phrase(text))
}

func phrase(text string) string {
	const invalid = "not valid YAML"
	for _, r := range rephrased() {
		if strings.HasPrefix(text, r.begins) {
			return invalid + ": " + r.phrase
		}
	}
	for _, p := range phrases() {
		if strings.Contains(text, p) {
			return invalid + ": " + p
		}
	}
	return invalid
}

const notUTF8 = "text that is not UTF-8"

// rephrased are the errors that repeat a part of the file, by their beginnings.
func rephrased() []struct{ begins, phrase string } {
	return []struct{ begins, phrase string }{
		{"unknown anchor ", "an alias (*) without its anchor"},
		{"anchor ", "an anchor (&) whose value contains itself"},
		{"mapping key ", "a key that occurs twice"},
		{"key ", "a key that occurs twice"},
		{"field ", "an unknown key"},
		{"invalid map key", "a list or a mapping in place of a key"},
		{"cannot decode ", "a tag (!!) that does not fit its value"},
		{"cannot unmarshal ", "a value of another type than expected"},
		{"invalid leading UTF-8 ", notUTF8}, {"invalid trailing UTF-8 ", notUTF8}, {"incomplete UTF-8 ", notUTF8},
	}
}

// phrases are the errors of the parser that repeat nothing of the file.
func phrases() []string {
	return []string{
		"did not find expected key", "did not find expected node content", "did not find expected '-' indicator",
		"did not find expected ',' or '}'", "did not find expected ',' or ']'", "did not find expected comment or line break",
		"did not find expected whitespace or line break", "did not find expected alphabetic or numeric character",
		"did not find expected whitespace", "did not find expected tag URI", "did not find expected '!'", "did not find the expected '>'",
		"did not find expected hexdecimal number", "did not find expected <document start>",
		"could not find expected ':'", "could not find expected directive name",
		"found character that cannot start any token", "found a tab character where an indentation space is expected",
		"found a tab character that violates indentation", "found an indentation indicator equal to 0",
		"found unexpected end of stream", "found unexpected document indicator", "found unexpected non-alphabetical character",
		"found unknown escape character", "found undefined tag handle", "found unknown directive name", "found incompatible YAML document",
		"mapping values are not allowed in this context", "mapping keys are not allowed in this context",
		"block sequence entries are not allowed in this context", "map merge requires map or sequence of maps as the value",
		"!!binary value contains invalid base64 data", "document contains excessive aliasing", "exceeded max depth",
		"control characters are not allowed",
		"invalid Unicode character",
	}
}
