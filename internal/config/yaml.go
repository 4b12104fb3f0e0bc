package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAML returns the effective configuration as a file that Load reads. In place
// of secrets (registration.token, http.token, the passwords of machines) it shows
// "********", which Load refuses.
func (c *Config) YAML() ([]byte, error) { return c.render(false, func(key) bool { return true }) }

// ChangedYAML is YAML of those keys that do not have their default.
func (c *Config) ChangedYAML() ([]byte, error) {
	paths := Changed(Default(), c)
	if len(paths) == 0 {
		return nil, nil
	}
	return c.render(false, func(k key) bool { return slices.Contains(paths, k.path) })
}

func (c *Config) render(secrets bool, of func(key) bool) ([]byte, error) {
	root := ordered{}
	for _, k := range keys() {
		if !of(k) {
			continue
		}
		value := k.get(c)
		if k.redact != nil && !secrets {
			value = k.redact(value)
		}
		root = root.put(k.path, value)
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	n, err := node(root)
	if err == nil {
		err = e.Encode(n)
	}
	if err == nil {
		err = e.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return b.Bytes(), nil
}

// node makes a YAML node of what a codec shows. Lists of plain values are
// written on one line.
func node(v any) (*yaml.Node, error) {
	n := &yaml.Node{}
	var children []any
	switch v := v.(type) {
	case ordered:
		n.Kind = yaml.MappingNode
		for _, m := range v {
			children = append(children, m.name, m.value)
		}
	case []any:
		n.Kind, n.Style, children = yaml.SequenceNode, yaml.FlowStyle, v
	default:
		err := n.Encode(v)
		if s, ok := v.(string); ok && (n.Style == yaml.SingleQuotedStyle || strings.Contains(s, ":")) {
			n.Style = yaml.DoubleQuotedStyle // one kind of quotes, and a colon never in doubt
		}
		return n, err
	}
	for _, c := range children {
		child, err := node(c)
		if err != nil {
			return nil, err
		}
		if child.Kind == yaml.MappingNode && n.Kind == yaml.SequenceNode {
			n.Style = 0
		}
		n.Content = append(n.Content, child)
	}
	return n, nil
}

func oneLine(def any) string {
	n, err := node(def)
	if err != nil {
		return fmt.Sprint(def)
	}
	b, err := yaml.Marshal(n)
	if err != nil {
		return fmt.Sprint(def)
	}
	return strings.TrimSpace(string(b))
}
