package config

import (
	"fmt"
	"regexp"
	"strings"
)

// Error is one value that cannot be used.
type Error struct {
	Key      string // path of the key, such as "wake.attempts" or "machines[1].mac"
	Found    string // the value found; "a hidden value" for a secret
	Origin   string // such as "from /etc/nightporter/config.yaml, line 3", "from --wake.attempts", "the default"
	Expected string // what is accepted
}

// Error returns one line.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: found %s (%s): expected %s", e.Key, e.Found, e.Origin, e.Expected)
}

// UnknownKeyError is a key that does not exist.
type UnknownKeyError struct {
	Key        string
	Origin     string // as in Error
	Suggestion string // the key, or the variable, that may have been meant; or empty
}

// Error returns one line.
func (e *UnknownKeyError) Error() string {
	s := fmt.Sprintf("%s: unknown key (%s)", e.Key, e.Origin)
	if e.Suggestion != "" {
		s += ": did you mean " + e.Suggestion + "?"
	}
	return s
}

// hiddenKey stands for a key that does not exist in a place where secrets are.
const hiddenKey = "a key that is not shown, since it may be a part of a secret"

// unknownKey returns the error about a key beside a secret. A secret that was mistyped,
// as in {token:S3cret} or {token: S3,cret}, is such a key: so one that is not like any
// other, and has no value or not the form of ours, is not repeated.
func unknownKey(prefix, name string, value any, suggestion string) *UnknownKeyError {
	err := &UnknownKeyError{Key: prefix + printable(name), Suggestion: suggestion}
	if suggestion == "" && (value == nil || !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(name)) {
		err.Key = strings.TrimSuffix(prefix, ".") + ": " + hiddenKey
	}
	return err
}
