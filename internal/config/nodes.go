package config

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// atPath returns the values that a file has for a key of the table.
func atPath(root *yaml.Node, path string) []*yaml.Node {
	section, name, nested := strings.Cut(path, ".")
	if !nested {
		return valuesOf(root, path)
	}
	var found []*yaml.Node
	for _, n := range valuesOf(root, section) {
		found = append(found, valuesOf(n, name)...)
	}
	return found
}

// valuesOf returns the values of a key of a mapping, also those that it takes over from
// others with "<<".
func valuesOf(n *yaml.Node, name string) (found []*yaml.Node) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			found = append(found, valuesOfMerged(value, name)...)
		case key.Value == name:
			found = append(found, value)
		}
	}
	return found
}

func valuesOfMerged(n *yaml.Node, name string) (found []*yaml.Node) {
	if n = resolve(n); n.Kind != yaml.SequenceNode {
		return valuesOf(n, name)
	}
	for _, m := range n.Content {
		found = append(found, valuesOf(m, name)...)
	}
	return found
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// lineOf returns the line of what a path such as "machines[1].mac" leads to in a file,
// or of the nearest above it that is there, or 0.
func lineOf(root *yaml.Node, path string) int {
	line := 0
	for n := root; n != nil && path != ""; {
		var step string
		step, path = nextStep(path)
		at, next := child(resolve(n), step)
		if next == nil {
			break
		}
		line, n = at, next
	}
	return line
}

// nextStep cuts the first name or "[index]" off a path.
func nextStep(path string) (step, rest string) {
	path = strings.TrimPrefix(path, ".")
	if end := strings.IndexByte(path, ']'); strings.HasPrefix(path, "[") && end > 0 {
		return path[:end+1], path[end+1:]
	}
	if end := strings.IndexAny(path, ".["); end > 0 {
		return path[:end], path[end:]
	}
	return path, ""
}

// child returns the entry or the value that a step leads to, and its line; for a value
// that is the line of its key.
func child(n *yaml.Node, step string) (line int, value *yaml.Node) {
	if index, isIndex := strings.CutPrefix(step, "["); isIndex {
		i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil || n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
			return 0, nil
		}
		return n.Content[i].Line, n.Content[i]
	}
	if n.Kind != yaml.MappingNode {
		return 0, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; resolve(key).Value == step {
			return key.Line, n.Content[i+1]
		}
	}
	if merged := valuesOf(n, step); len(merged) > 0 {
		return merged[0].Line, merged[0]
	}
	return 0, nil
}
