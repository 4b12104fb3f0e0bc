package notifyconf

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// Hidden is printed in place of the secrets of a URL. A URL that contains it is refused, so
// that a printed URL is never used as a real one.
const Hidden = "********"

// maxURL bounds a URL, in bytes.
const maxURL = 2048

// Target is a URL of shoutrrr to which messages go. It is printed without its secrets.
// Targets can be compared.
type Target struct{ raw string }

// Parse returns the target with a URL. read reads the URL as the service that it names does;
// it may be nil. The error names the expected form, and repeats nothing of the URL.
func Parse(raw string, read func(raw string, s Service) error) (Target, error) {
	t := Target{raw}
	_, s, err := t.service()
	switch {
	case err != nil:
		return Target{}, err
	case strings.Contains(raw, Hidden):
		return Target{}, errors.New("expected the URL itself: " + Hidden + " is printed in place of its secrets")
	}
	if read != nil && read(raw, s) != nil { // its error repeats the URL
		return Target{}, fmt.Errorf("expected %s", s.Form)
	}
	u, err := url.Parse(raw)
	if err != nil || s.Public && u.Host == "" {
		return Target{}, fmt.Errorf("expected %s, with a host", s.Form)
	}
	return t, nil
}

// service returns the service that the URL names, and its scheme. "generic+https" names
// "generic".
func (t Target) service() (scheme string, s Service, err error) {
	name, _, ok := strings.Cut(t.raw, "://")
	name, _, _ = strings.Cut(strings.ToLower(name), "+")
	s, isKnown := Services()[name]
	switch {
	case len(t.raw) > maxURL:
		return "", Service{}, fmt.Errorf("expected a URL of at most %d bytes", maxURL)
	case !ok || !isKnown:
		return "", Service{}, fmt.Errorf("expected a URL that begins with one of the services %s, and ://", serviceNames())
	}
	return name, s, nil
}

// Service returns the service that the URL names. The zero Target has none, which is an error.
func (t Target) Service() (Service, error) {
	_, s, err := t.service()
	return s, err
}

// URL returns the whole URL, secrets included.
func (t Target) URL() string { return t.raw }

// String returns the service, and the host unless it may be a secret: a URL such as
// pushbullet://token has a token in its place.
func (t Target) String() string {
	scheme, s, err := t.service()
	if err != nil {
		return "no target"
	}
	// An "@" in the path means that a password with a slash in it stands in the place of the
	// host.
	if u, err := url.Parse(t.raw); err == nil && s.Public && !strings.Contains(u.Path, "@") {
		return scheme + "://" + u.Host
	}
	return scheme
}

// GoString is String, for formats that print the fields of a value.
func (t Target) GoString() string { return t.String() }

// LogValue implements slog.LogValuer.
func (t Target) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Masked returns the URL as a printed configuration shows it.
func (t Target) Masked() string {
	if s := t.String(); strings.Contains(s, "://") {
		return s + "/" + Hidden
	}
	return t.String() + "://" + Hidden
}
