// Package config defines the settings, and reads them from file, environment and flags.
//
// The table in keys.go has each key once: its path, its default, one line of help, and how its
// value is read into [Config] and written back. The defaults, the flags, the environment
// variables, the check for unknown keys and the printed configuration come from the table.
//
// Four layers are laid over each other, later ones winning: the defaults, one
// YAML file, the environment (NIGHTPORTER_WAKE__ATTEMPTS=3) and the command
// line (--wake.attempts 3). [Load] remembers which layer a value came from, so
// that an error can name it.
//
// Secrets are read, but never shown: neither in an error nor in [Config.YAML]. One whose
// spelling means something else in YAML is an error.
package config
