// Package config knows what an operator may set, and reads it.
//
// Every key stands once, in the table of keys.go: its path, its default, one
// line of help, and how a value is read into [Config] and written back. From
// the table come the defaults, the flags, the names of the environment
// variables, the search for unknown keys and the printed configuration.
//
// Four layers are laid over each other, later ones winning: the defaults, one
// YAML file, the environment (NIGHTPORTER_WAKE__ATTEMPTS=3) and the command
// line (--wake.attempts 3). [Load] remembers which layer a value came from, so
// that an error can say where to mend it.
//
// Secrets are read, but never shown: neither in an error nor in [Config.YAML]. One whose
// spelling means something else in YAML is an error.
package config
