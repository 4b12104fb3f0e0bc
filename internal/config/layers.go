package config

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// layer is one source of values. It has values of known keys only.
type layer struct {
	values *koanf.Koanf
	origin func(k key) string    // returns where its value of k is set
	line   func(path string) int // in its file; nil: not a file
	file   string                // the path of its file; empty: not a file, or missing
	mode   fs.FileMode           // of that file
}

func newLayer(p koanf.Provider, parser koanf.Parser, origin func(key) string) (layer, error) {
	l := layer{values: koanf.New("."), origin: origin}
	return l, l.values.Load(p, parser)
}

func defaultsLayer(t table) (layer, error) {
	values := make(map[string]any, len(t.keys))
	for _, k := range t.keys {
		values[k.path] = k.def
	}
	return newLayer(confmap.Provider(values, "."), nil, func(key) string { return "the default" })
}

func fileLayer(t table, path string, explicit bool, r *report) (layer, error) {
	origin := "from " + path
	b, mode, err := readFile(path, explicit)
	if err != nil {
		return layer{}, fmt.Errorf("configuration file: %w", err)
	}
	if mode&othersWrite != 0 {
		return layer{}, fmt.Errorf("configuration file %s: found mode %04o, expected a file that other users may not write to: try `chmod o-w %s`", path, mode.Perm(), path)
	}
	text := &parser{table: t, report: r, origin: origin}
	l, err := newLayer(content(b), text, func(key) string { return origin })
	if err != nil {
		return layer{}, fmt.Errorf("configuration file %s: %w", path, err)
	}
	if b != nil {
		l.file, l.mode, l.line = path, mode, text.line
	}
	return l, nil
}

func envLayer(t table, environ []string, r *report) (layer, error) {
	names := make(map[string]key, len(t.keys))
	for _, k := range t.keys {
		names[k.env()] = k
	}
	read := func(name, value string) (string, any) {
		k, ok := names[name]
		switch {
		case !ok:
			known := slices.Sorted(maps.Keys(names))
			r.add(&UnknownKeyError{Key: printable(name), Origin: "from the environment", Suggestion: suggestVariable(name, known)})
			return "", nil
		case k.noun == "":
			place{report: r, key: k.path, path: k.path, origin: "from " + name, secret: true}.
				wrong(value, "a value in the configuration file, the only place for it")
			return "", nil
		}
		return k.path, k.text(value)
	}
	opt := env.Opt{Prefix: envPrefix, TransformFunc: read, EnvironFunc: func() []string { return environ }}
	return newLayer(env.Provider(".", opt), nil, func(k key) string { return "from " + k.env() })
}

func flagLayer(t table, flags *pflag.FlagSet, r *report) (layer, error) {
	read := func(f *pflag.Flag) (string, any) {
		k, ok := t.find(f.Name)
		if !ok || k.noun == "" {
			return "", nil // not a key, such as --config
		}
		if k.notAsFlag && f.Changed {
			place{report: r, key: k.path, path: k.path, origin: "from --" + k.path, secret: true}.
				wrong(f.Value.String(), "a value in the configuration file or in "+k.env()+", since all users of this host can see a command line")
			return "", nil
		}
		return k.path, k.text(f.Value.String())
	}
	return newLayer(posflag.ProviderWithFlag(flags, ".", nil, read), nil, func(k key) string { return "from --" + k.path })
}
