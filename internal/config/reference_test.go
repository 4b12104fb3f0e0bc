package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"nightporter/internal/config"
)

// reference is the file that operators start from.
const reference = "../../config.example.yaml"

func TestReferenceIsTheDefault(t *testing.T) {
	c, err := config.Load(reference, true, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, c, config.Default())
}

// The reference has every key once, in the order of the table, and above each
// its help on one line, which says whether a change needs a restart.
func TestReferenceHasEveryKey(t *testing.T) {
	b, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	found := map[string]entry{}
	order := leaves(doc.Content[0], "", found)
	known := config.Keys()
	if len(order) != len(known) {
		t.Errorf("%d keys, want %d", len(order), len(known))
	}
	for i, k := range known {
		if i >= len(order) || order[i] != k.Path {
			t.Fatalf("key %d is not %s", i+1, k.Path)
		}
		e := found[k.Path]
		var got, want any
		if err := e.value.Decode(&got); err != nil {
			t.Errorf("%s: %v", k.Path, err)
		}
		if err := yaml.Unmarshal([]byte(k.Default), &want); err != nil {
			t.Errorf("%s: %v", k.Path, err)
		}
		if text(t, got) != text(t, want) {
			t.Errorf("%s: %v, want the default %v", k.Path, got, want)
		}
		comment := "# " + k.Help
		if k.Restart {
			comment += " [restart]"
		}
		if e.comment != comment {
			t.Errorf("%s: the line above is\n%s\nwant\n%s", k.Path, e.comment, comment)
		}
	}
}

type entry struct {
	value   *yaml.Node
	comment string // the last line above the key
}

func leaves(n *yaml.Node, prefix string, found map[string]entry) (order []string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			order = append(order, leaves(value, name.Value+".", found)...)
			continue
		}
		lines := strings.Split(name.HeadComment, "\n")
		found[prefix+name.Value] = entry{value, lines[len(lines)-1]}
		order = append(order, prefix+name.Value)
	}
	return order
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The machine of the reference can be used as it stands, and shows every
// member.
func TestReferenceMachine(t *testing.T) {
	b, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(b), "\n#machines:\n")
	if !ok {
		t.Fatal("no example of a machine")
	}
	example = "machines:\n" + regexp.MustCompile(`(?m)^#`).ReplaceAllString(example, "")
	c := load(t, example, nil)
	if len(c.Machines) != 1 || c.Machines[0].Name != "tower" || len(c.Machines[0].Own()) != 2 || len(c.Machines[0].Guests()) != 1 || len(c.Machines[0].Password) != 6 {
		t.Errorf("got %+v", c.Machines)
	}
	for line := range strings.Lines(effective(t, c)) {
		name, _, isMember := strings.Cut(strings.TrimSpace(line), ":")
		if isMember && strings.HasPrefix(line, "    ") && !strings.Contains(example, strings.TrimPrefix(name, "- ")+":") {
			t.Errorf("the example lacks %s", name)
		}
	}
}
