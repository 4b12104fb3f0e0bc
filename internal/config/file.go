package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	koanfyaml "github.com/knadh/koanf/parsers/yaml"
	"go.yaml.in/yaml/v3"

	"nightporter/internal/yamlerror"
)

// Limits of a file. The lists and mappings of a good one are nested seven
// deep; aliases count as what they stand for.
const (
	maxFile  = 1 << 20 // bytes
	maxDepth = 16
	maxNodes = 1 << 18
	maxKeys  = 64 // in one mapping
)

// readFile returns the content and the mode of a file, or nothing if it does not
// exist and need not.
func readFile(path string, explicit bool) ([]byte, fs.FileMode, error) {
	// Without O_NONBLOCK, opening a named pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) && !explicit {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	switch {
	case info.IsDir():
		return nil, 0, fmt.Errorf("%s is a directory: expected a regular file", path)
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf("%s is a device or a pipe: expected a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, err
	}
	if len(b) > maxFile {
		return nil, 0, fmt.Errorf("%s is too large: expected at most %d bytes", path, maxFile)
	}
	return b, info.Mode(), nil
}

// content is a koanf provider of bytes that were read before.
type content []byte

func (c content) ReadBytes() ([]byte, error) { return c, nil }

func (c content) Read() (map[string]any, error) {
	return nil, errors.New("a file needs a parser")
}

// parser is a koanf parser of YAML that is strict: one document, which is a
// mapping of known keys, and nothing that takes long to read.
type parser struct {
	table  table
	report *report
	origin string
	root   *yaml.Node // of the file; nil: not parsed, or empty
}

// line returns the line of what a path leads to.
func (p *parser) line(path string) int { return lineOf(p.root, path) }

// Unmarshal reports unknown keys, and leaves them out. Keys without a value
// are left out as well: often all that was below them is commented out.
func (p *parser) Unmarshal(b []byte) (map[string]any, error) {
	root, err := checkDocument(b)
	if root == nil || err != nil {
		return nil, err
	}
	values, err := koanfyaml.Parser().Unmarshal(b)
	if err != nil {
		return nil, yamlerror.Plain(err)
	}
	p.root = root
	p.checkSecrets(b, root)
	p.prune(values, "")
	return values, nil
}

// Marshal is not used: Config.YAML writes in the order of the table.
func (p *parser) Marshal(map[string]any) ([]byte, error) {
	return nil, errors.New("writing is not supported")
}

// checkDocument returns the mapping that b holds, or nil if it holds no values at all.
func checkDocument(b []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc, next yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, located(b, err)
	}
	root := doc.Content[0]
	empty := root.Kind == yaml.ScalarNode && root.Tag == "!!null"
	if !empty && root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: expected keys with values, such as %q", root.Line, "state_dir: /var/lib/nightporter")
	}
	nodes := maxNodes
	if err := checkSize(root, 0, &nodes); err != nil {
		return nil, err
	}
	switch err := d.Decode(&next); {
	case errors.Is(err, io.EOF) && empty:
		return nil, nil
	case errors.Is(err, io.EOF):
		return root, nil
	case err != nil:
		return nil, located(b, err)
	}
	return nil, fmt.Errorf("line %d: a second document: expected one", next.Line)
}

// checkSize walks through all that n stands for. The parser itself compares
// the keys of a mapping with each other, one by one, and accepts aliases up to
// a size that takes seconds to copy.
func checkSize(n *yaml.Node, depth int, nodes *int) error {
	*nodes--
	switch {
	case depth > maxDepth:
		return fmt.Errorf("line %d: expected at most %d levels", n.Line, maxDepth)
	case *nodes < 0:
		return fmt.Errorf("line %d: expected at most %d values, aliases counted as what they stand for", n.Line, maxNodes)
	case n.Kind == yaml.MappingNode && len(n.Content) > 2*maxKeys:
		return fmt.Errorf("line %d: expected at most %d keys in one mapping", n.Line, maxKeys)
	case n.Kind == yaml.AliasNode:
		return checkSize(n.Alias, depth+1, nodes)
	}
	for _, c := range n.Content {
		if err := checkSize(c, depth+1, nodes); err != nil {
			return err
		}
	}
	return nil
}

// prune reports and removes what is not in the table.
func (p *parser) prune(values map[string]any, prefix string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		path := prefix + name
		_, isKey := p.table.find(path)
		switch section, isMapping := stringKeys(values[name]); {
		case strings.Contains(name, ".") || !isKey && !p.table.sections[path]:
			p.report.add(p.unknownKey(prefix, name, values[name]))
		case values[name] == nil:
		case isKey:
			continue
		case isMapping:
			p.prune(section, path+".")
			values[name] = section
			continue
		default:
			at := place{path: path, origin: p.origin, line: p.line}
			p.report.add(&Error{Key: path, Found: shape(values[name]), Origin: at.where(), Expected: "keys with values below it"})
		}
		delete(values, name)
	}
}

func (p *parser) unknownKey(prefix, name string, value any) *UnknownKeyError {
	suggestion := p.table.suggest(prefix + name)
	err := &UnknownKeyError{Key: printable(prefix + name), Suggestion: suggestion}
	if p.table.withSecrets[strings.TrimSuffix(prefix, ".")] {
		err = unknownKey(prefix, name, value, suggestion)
	}
	err.Origin = place{path: prefix + name, origin: p.origin, line: p.line}.where()
	return err
}

// shape describes a value that stands where keys should, without showing it: it
// may be a secret on the wrong line.
func shape(v any) string {
	if _, ok := v.([]any); ok {
		return "a list"
	}
	return "a single value"
}
