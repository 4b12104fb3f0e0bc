package config

import "reflect"

// Changed returns the keys whose values differ, in the order of the table.
func Changed(old, new *Config) []string {
	return changed(old, new, func(key) bool { return true })
}

// NeedsRestart returns the keys whose values differ and of which a running
// porter keeps the old value until it is restarted.
func NeedsRestart(old, new *Config) []string {
	return changed(old, new, func(k key) bool { return k.restart })
}

func changed(old, new *Config, of func(key) bool) []string {
	var paths []string
	for _, k := range keys() {
		if of(k) && !reflect.DeepEqual(k.get(old), k.get(new)) {
			paths = append(paths, k.path)
		}
	}
	return paths
}
