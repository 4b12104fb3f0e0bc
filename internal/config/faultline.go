package config

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"nightporter/internal/yamlerror"
)

// located says what is wrong with a file that err says is not YAML, and in which line.
//
// The library names the line before a fault, or the one where the mapping around it begins.
// The fault is in the line after the longest beginning of the file that is YAML: where a
// quote or a bracket is not closed, that is the line that opens it.
func located(b []byte, err error) error {
	lines := bytes.SplitAfter(b, []byte("\n"))
	sound, ok := soundLines(b, lines)
	if !ok {
		return yamlerror.Plain(err)
	}
	fault := sound + 1
	text := err.Error()
	switch bad := lines[sound]; {
	case bytes.ContainsRune(bad[:len(bad)-len(bytes.TrimLeft(bad, " \t"))], '\t'):
		err = errors.New("found a tab character where an indentation space is expected")
	case strings.Contains(text, "mapping values are not allowed"):
		if line := withoutColon(bytes.Join(lines[:sound], nil)); line > 0 {
			fault, err = line, errors.New("could not find expected ':'")
		}
	}
	return yamlerror.PlainAt(fault, err)
}

// maxReread bounds how much of a bad file is parsed to find the line, in bytes.
const maxReread = 8 << 20

// soundLines returns how many of the first lines are YAML by themselves, at most. It is not
// ok if that takes too long to find.
func soundLines(b []byte, lines [][]byte) (n int, ok bool) {
	r := &lineReader{lines: lines}
	if parse(r) == nil {
		return 0, false
	}
	end := 0
	for _, line := range lines[:r.read] {
		end += len(line)
	}
	budget := maxReread
	for n := r.read - 1; n >= 0 && budget > 0; n-- {
		end -= len(lines[n])
		budget -= end
		if parse(bytes.NewReader(b[:end])) == nil {
			return n, true
		}
	}
	return 0, false
}

// lineReader gives one line at a time, so that it is known in which the parser ended.
type lineReader struct {
	lines [][]byte
	read  int
	rest  []byte
}

// Read implements io.Reader.
func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.read == len(r.lines) {
			return 0, io.EOF
		}
		r.rest = r.lines[r.read]
		r.read++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// parse returns nil if r holds YAML.
func parse(r io.Reader) error {
	d := yaml.NewDecoder(r)
	for {
		var doc yaml.Node
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// withoutColon returns the line of a key without its colon at the end of a beginning of a
// file: it was read as plain text that stands below the key it is the value of, or as the
// whole document. It returns 0 if the file does not end so.
func withoutColon(b []byte) int {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil || len(doc.Content) == 0 {
		return 0
	}
	n, above := doc.Content[0], 0
	for (n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode) && len(n.Content) > 0 {
		last := len(n.Content) - 1
		above = n.Content[last].Line // an entry of a list stands beside its dash
		if n.Kind == yaml.MappingNode {
			above = n.Content[last-1].Line
		}
		n = n.Content[last]
	}
	if n.Kind != yaml.ScalarNode || n.Style != 0 || n.Line <= above {
		return 0
	}
	return n.Line
}
