package notify

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"nightporter/internal/notifyconf"
)

// delivery delivers to one target. It is used by one goroutine at a time.
type delivery struct {
	target  notifyconf.Target
	service types.Service // set up at the first message
	client  *http.Client
}

func newDelivery(t notifyconf.Target) *delivery { return &delivery{target: t} }

// deliver delivers a message. It has no time limit, because the library has no context. Its error
// repeats nothing of the URL.
func (b *delivery) deliver(m Message) (err error) {
	defer func() {
		if r := recover(); r != nil { // the library panics on some unexpected answers
			err = errors.New("the answer was not understood")
		}
	}()
	s, err := b.target.Service()
	if err != nil {
		return err
	}
	if b.service == nil {
		if b.service, err = locate(b.target.URL()); err != nil {
			b.service = nil
			return errSetUp
		}
	}
	b.renew()
	params := types.Params{}
	if s.Titled {
		params.SetTitle(m.Title)
	}
	if err := b.service.Send(m.Text, &params); err != nil {
		if s.Login {
			b.service = nil // its session may have expired
		}
		return reason(err)
	}
	return nil
}

// renew resets the headers of the ntfy service, which adds each title to the earlier ones and
// sends the first. The transport is kept, or each message would leave a connection open.
func (b *delivery) renew() {
	s, ok := b.service.(*ntfy.Service)
	if !ok {
		return
	}
	if b.client == nil {
		b.client = &http.Client{Timeout: tryTimeout, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, IdleConnTimeout: time.Minute,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.Config.DisableTLSVerification},
		}}
	}
	s.SetHTTPClient(b.client)
}

// reasons are the parts of errors of the library that are shown. The rest may repeat URLs, tokens
// and answers, and the library wraps no errors.
func reasons() []string {
	return []string{
		"connection refused", "connection reset", "no route to host", "network is unreachable", "no such host", "server misbehaving",
		"i/o timeout", "deadline exceeded", "certificate signed by unknown authority", "certificate has expired", "certificate is not valid",
		"certificate is valid for", "server gave HTTP response to HTTPS client", "tls: handshake failure", "unexpected EOF", "EOF",
	}
}

var (
	errUnaccepted = errors.New("the service did not accept it")
	errSetUp      = errors.New("the service cannot be reached, or did not accept the login") // the library says no more
)

// reason returns why a message was not delivered, in known words.
func reason(err error) error {
	text := err.Error()
	for code := http.StatusBadRequest; code < 600; code++ {
		if status := http.StatusText(code); status != "" && strings.Contains(text, strconv.Itoa(code)+" "+status) {
			return fmt.Errorf("HTTP %d %s", code, status)
		}
	}
	// As in "status code: 403", "(403)" of Gotify and "(40301)" of ntfy.
	statusCode := regexp.MustCompile(`(?i)(?:\b(?:http|status|code)\W{1,3}|\()([45][0-9][0-9])(?:[0-9]{2}\)|\b)`)
	if found := statusCode.FindStringSubmatch(text); found != nil {
		return fmt.Errorf("status %s", found[1])
	}
	for _, r := range reasons() {
		if strings.Contains(text, r) {
			return errors.New(r)
		}
	}
	return errUnaccepted
}
