package notify

import (
	"errors"
	"net/url"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"nightporter/internal/notifyconf"
)

// ReadURL reads a URL as its service does. It sends no packet. The error may repeat secrets.
func ReadURL(raw string, s notifyconf.Service) error {
	if s.Login {
		return readMatrix(raw)
	}
	service, err := locate(raw)
	if err != nil {
		return err
	}
	// The service of Gotify looks at the token only when it sends.
	if g, ok := service.(*gotify.Service); ok && !new(gotify.DefaultValidator).ValidateToken(g.Config.Token) {
		return gotify.ErrInvalidToken
	}
	return nil
}

var errUnreadable = errors.New("the URL cannot be read")

// locate sets a service up. The library may panic on a URL that it does not understand.
func locate(raw string) (s types.Service, err error) {
	defer func() {
		if r := recover(); r != nil {
			s, err = nil, errUnreadable
		}
	}()
	var r router.ServiceRouter
	return r.Locate(raw)
}

// readMatrix is locate without the login.
func readMatrix(raw string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errUnreadable
		}
	}()
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	return new(matrix.Config).SetURL(u)
}
