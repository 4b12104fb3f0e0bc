package web

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"nightporter/internal/machine"
)

// ErrToken says that the porter wants a token, or another one.
var ErrToken = errors.New("the porter requires a token")

// ErrNotServed says that what was asked has no such path.
var ErrNotServed = errors.New("is it nightporter, and not older than this command?")

// ErrWrongToken is an ErrToken though a token was shown.
var ErrWrongToken = errors.New("wrong token")

// Refused says that the porter does not do what it was asked for.
type Refused struct {
	Reason string // in the porter's words, which a terminal may not be able to show
}

// Error returns the reason alone.
func (r *Refused) Error() string { return r.Reason }

// Unreachable says that no porter answers.
type Unreachable struct {
	Host string // and its port
	Err  error
}

// Error says why in a few words.
func (u *Unreachable) Error() string {
	if u.NoAddress() {
		return u.noAddress()
	}
	reason := u.Err
	var errno syscall.Errno
	if errors.As(u.Err, &errno) {
		reason = errno // without the address, which stands there already
	}
	return fmt.Sprintf("no nightporter answers at %s (%v)", u.Host, reason)
}

// Unwrap returns the reason.
func (u *Unreachable) Unwrap() error { return u.Err }

// NoAddress reports whether no address is known for the porter's name.
func (u *Unreachable) NoAddress() bool {
	_, ok := errors.AsType[*net.DNSError](u.Err)
	return ok
}

func (u *Unreachable) noAddress() string {
	lookup, _ := errors.AsType[*net.DNSError](u.Err)
	switch {
	case lookup.IsNotFound:
		return fmt.Sprintf("no address was found for %q", u.hostname())
	case lookup.IsTimeout:
		return fmt.Sprintf("no address was found for %q: the name server does not answer", u.hostname())
	}
	return fmt.Sprintf("no address was found for %q (%s)", u.hostname(), lookup.Err)
}

func (u *Unreachable) hostname() string { return (&url.URL{Host: u.Host}).Hostname() }

// Local reports whether the porter was expected on this host.
func (u *Unreachable) Local() bool {
	ip, err := netip.ParseAddr(u.hostname())
	return u.hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// ForRegistrations reports whether the port is the one at which machines register.
func (u *Unreachable) ForRegistrations() bool {
	return (&url.URL{Host: u.Host}).Port() == registrationPort
}

// unanswered says why a request to base has no answer.
func (t target) unanswered(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok { // it repeats the address
		err = wrapped.Err
	}
	if distrust, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the certificate of %s is not trusted (%w): SSL_CERT_FILE=FILE in the environment names one that is", t.base.Host, distrust.Err)
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return fmt.Errorf("%s speaks HTTP without TLS: expected http://%[1]s", t.base.Host)
	}
	// net/http has no value for this error.
	if strings.Contains(err.Error(), "malformed HTTP") {
		err = errors.New("the server there does not speak HTTP")
	}
	return &Unreachable{Host: t.base.Host, Err: err}
}

// plainToTLS is what net/http answers to a request without TLS where it expects TLS.
const plainToTLS = "HTTP request to an HTTPS server"

// statusError tells an answer that is not the expected one, in the porter's words
// if there are any.
func (t target) statusError(q apiRequest, resp *http.Response) error {
	var answer struct {
		Error string `json:"error"`
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // without it, the status says enough
	inWords := json.Unmarshal(text, &answer) == nil && answer.Error != ""
	status := fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	switch code := resp.StatusCode; {
	case code == http.StatusBadRequest && strings.Contains(string(text), plainToTLS):
		return fmt.Errorf("%s speaks HTTP with TLS alone: expected https://%[1]s", t.base.Host)
	case code == http.StatusUnauthorized && inWords:
		return tokenError(q.token && t.token != "")
	case code == http.StatusUnauthorized && t.base.User != nil: // by the toolkit of http.web_config
		return fmt.Errorf("%s rejects this user and password", t.base.Host)
	case code == http.StatusUnauthorized:
		return fmt.Errorf("%s requires a user and a password: expected %s://USER:PASSWORD@%[1]s", t.base.Host, t.base.Scheme)
	case code == http.StatusNotFound && inWords && strings.HasPrefix(answer.Error, notNamed):
		return t.failed(q.failed, machine.ErrUnknown)
	case code == http.StatusNotFound && !inWords && strings.Trim(t.base.Path, "/") != "":
		return fmt.Errorf("no nightporter answers below the path %q of %s (%s): expected the porter's own address, %s://%[2]s, or its path at a reverse proxy",
			t.base.Path, t.base.Host, status, t.base.Scheme)
	case code == http.StatusNotFound:
		return t.failed(q.failed, fmt.Errorf("%s: %w", status, ErrNotServed))
	case inWords:
		// The status of the answer says this part.
		reason := strings.TrimPrefix(answer.Error, machine.ErrConflict.Error()+": ")
		return fmt.Errorf("%s: %w", q.failed, &Refused{reason})
	default:
		return t.failed(q.failed, errors.New(status))
	}
}

func tokenError(shown bool) error {
	if shown {
		return fmt.Errorf("%w: %w", ErrWrongToken, ErrToken)
	}
	return ErrToken
}
