// Command dashboards writes the Grafana dashboards of nightporter, one JSON file
// each, into the directory where it is run.
//
// It is a module of its own, so that what it takes to describe a dashboard stays
// out of the daemon. The files are committed; a test compares them with what the
// code says.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

// write writes all dashboards into a directory.
func write(dir string) error {
	for name, b := range boards() {
		text, err := b.render()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// boards returns all dashboards by the names of their files.
func boards() map[string]board {
	return map[string]board{
		"overview.json": overview(),
		"machine.json":  machine(),
		"porter.json":   porter(),
	}
}
