package config

import "reflect"

// Changed returns the keys whose values differ, in the order of the table.
func Changed(before, after *Config) []string {
	return changed(before, after, func(key) bool { return true })
}

// NeedsRestart returns the keys whose values differ and of which a running
// porter keeps the old value until it is restarted.
func NeedsRestart(before, after *Config) []string {
	return changed(before, after, func(k key) bool { return k.restart })
}

func changed(before, after *Config, of func(key) bool) []string {
	var paths []string
	for _, k := range keys() {
		if of(k) && !reflect.DeepEqual(k.get(before), k.get(after)) {
			paths = append(paths, k.path)
		}
	}
	return paths
}
