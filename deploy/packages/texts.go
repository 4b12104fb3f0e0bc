package main

import (
	"context"
	"os"
	"path/filepath"
)

// texts are the files that the program writes about itself.
type texts struct {
	manual      map[string][]byte // pages by name, such as nightporter.1
	completions map[string][]byte // by shell
	notices     []byte            // the licenses of the modules in the program
}

// generate runs the program of this host to write its manual pages and completions.
func (r release) generate(ctx context.Context, work string) (texts, error) {
	t := texts{manual: map[string][]byte{}, completions: map[string][]byte{}}
	host, manual := filepath.Join(work, "nightporter-host"), filepath.Join(work, "man")
	if err := os.Mkdir(manual, 0o755); err != nil {
		return t, err
	}
	if err := r.compile(ctx, host); err != nil {
		return t, err
	}
	if _, err := r.output(ctx, nil, host, "man", manual); err != nil {
		return t, err
	}
	page5 := filepath.Join(manual, "nightporter.yaml.5")
	if _, err := r.output(ctx, nil, "go", "run", "./internal/configdoc", "-man", page5, "-source", "nightporter "+r.version); err != nil {
		return t, err
	}
	pages, err := os.ReadDir(manual)
	if err != nil {
		return t, err
	}
	for _, page := range pages {
		if t.manual[page.Name()], err = os.ReadFile(filepath.Join(manual, page.Name())); err != nil {
			return t, err
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if t.completions[shell], err = r.output(ctx, nil, host, "completion", shell); err != nil {
			return t, err
		}
	}
	t.notices, err = r.collectNotices(ctx)
	return t, err
}
