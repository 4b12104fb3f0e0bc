package notify

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// Hidden stands for what is kept back of a URL. A URL that has it is refused, so
// that what was printed is never taken for the real thing.
const Hidden = "********"

// maxURL bounds a URL, in bytes.
const maxURL = 2048

// Target is where messages go: a URL, as shoutrrr reads it. It is printed without
// its secrets. Targets can be compared.
type Target struct{ raw string }

// Parse reads a URL with the service that it names. No packet is sent. An error
// says what is expected, and nothing of what was found but the service.
func Parse(raw string) (Target, error) {
	_, s, err := serviceOf(raw)
	switch {
	case err != nil:
		return Target{}, err
	case strings.Contains(raw, Hidden):
		return Target{}, errors.New("expected the URL itself: " + Hidden + " is printed in place of its secrets")
	case s.login:
		err = readMatrix(raw)
	default:
		err = understand(raw)
	}
	if err != nil { // in words of its own, which repeat the URL
		return Target{}, fmt.Errorf("expected %s", s.form)
	}
	u, err := url.Parse(raw)
	if err != nil || s.public && u.Host == "" {
		return Target{}, fmt.Errorf("expected %s, with a host", s.form)
	}
	return Target{raw: raw}, nil
}

// serviceOf returns the service that a URL names. "generic+https" names
// "generic".
func serviceOf(raw string) (scheme string, s service, err error) {
	name, _, ok := strings.Cut(raw, "://")
	name, _, _ = strings.Cut(strings.ToLower(name), "+")
	s, isKnown := services()[name]
	switch {
	case len(raw) > maxURL:
		return "", service{}, fmt.Errorf("expected a URL of at most %d bytes", maxURL)
	case !ok || !isKnown:
		return "", service{}, fmt.Errorf("expected a URL that begins with one of the services %s, and ://", known())
	}
	return name, s, nil
}

// understand reads a URL with its service.
func understand(raw string) error {
	s, err := locate(raw)
	if err != nil {
		return err
	}
	// Gotify's looks at the token only when it sends.
	if g, ok := s.(*gotify.Service); ok && !new(gotify.DefaultValidator).ValidateToken(g.Config.Token) {
		return gotify.ErrInvalidToken
	}
	return nil
}

// locate sets a service up. What the library makes of a URL that it does not
// understand may be a panic.
func locate(raw string) (s types.Service, err error) {
	defer func() {
		if r := recover(); r != nil {
			s, err = nil, errors.New("the URL cannot be read")
		}
	}()
	var r router.ServiceRouter
	return r.Locate(raw)
}

// readMatrix is locate without the login.
func readMatrix(raw string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the URL cannot be read")
		}
	}()
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	return new(matrix.Config).SetURL(u)
}

// URL returns all of the URL, secrets included.
func (t Target) URL() string { return t.raw }

// String returns the service, and the host where that is no secret: a URL such as
// pushbullet://token has a token in its place.
func (t Target) String() string {
	scheme, s, err := serviceOf(t.raw)
	if err != nil {
		return "no target"
	}
	// Behind an "@" in the path a password has a slash in it, and begins where the
	// host should be.
	if u, err := url.Parse(t.raw); err == nil && s.public && !strings.Contains(u.Path, "@") {
		return scheme + "://" + u.Host
	}
	return scheme
}

// GoString is String, for formats that show what a value is made of.
func (t Target) GoString() string { return t.String() }

// LogValue implements slog.LogValuer.
func (t Target) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Masked returns the URL as a configuration shows it.
func (t Target) Masked() string {
	if s := t.String(); strings.Contains(s, "://") {
		return s + "/" + Hidden
	}
	return t.String() + "://" + Hidden
}
