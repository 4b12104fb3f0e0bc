package machine

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ReadyBy is how a service shows that it is ready.
type ReadyBy uint8

// The ways of a service to be ready.
const (
	ByDefault ReadyBy = iota // TCP: by a SYN-ACK; UDP: by not refusing the client's datagram; ICMP: by its address
	ByHTTP                   // by the status of an HTTP answer
	ByHTTPS                  // likewise; the certificate is not verified
	ByBanner                 // by the first bytes that it sends
	ByDelay                  // some time after it accepts a connection, or UDP and ICMP: after its address answers
)

// Ready is the readiness check of a service. The zero value is the default of its
// protocol.
type Ready struct {
	By     ReadyBy
	Path   string        // of ByHTTP and ByHTTPS, with its query
	Status int           // of ByHTTP and ByHTTPS; 0: any below 500
	Banner string        // of ByBanner
	Delay  time.Duration // of ByDelay
}

// Bounds of a Ready.
const (
	maxReadyText = 128 // bytes of a path or a banner
	maxDelay     = 10 * time.Minute
)

const readyForms = `"syn-ack", "http:/path", "https:/path", "http:/path=204", "banner:SSH-2.0" or "delay:5s"`

// ParseReady reads one of the forms that String writes. A path that ends in "=" and
// three digits expects that status. The error says what was expected.
func ParseReady(s string) (Ready, error) {
	kind, rest, _ := strings.Cut(s, ":")
	var r Ready
	var err error
	switch {
	case s == "syn-ack":
		return r, nil
	case kind == "http", kind == "https":
		r.By = ByHTTP
		if kind == "https" {
			r.By = ByHTTPS
		}
		r.Path, r.Status, err = parsePath(rest)
	case kind == "banner":
		r.By, r.Banner = ByBanner, rest
		err = checkReadyText(rest)
	case kind == "delay":
		r.By = ByDelay
		r.Delay, err = time.ParseDuration(rest)
		if err != nil || r.Delay < time.Millisecond || r.Delay > maxDelay {
			err = fmt.Errorf("a delay from 1ms to %s", maxDelay)
		}
	default:
		err = errors.New(readyForms)
	}
	if err != nil {
		return Ready{}, err
	}
	return r, nil
}

// parsePath splits "/path=204". A status has three digits (RFC 9110 section 15); one
// below 200 is never the last.
func parsePath(s string) (path string, status int, err error) {
	path = s
	if i := len(s) - 4; i > 0 && s[i] == '=' && isNumber(s[i+1:]) {
		path = s[:i]
		status, _ = strconv.Atoi(s[i+1:])
		if status < 200 || status > 599 {
			return "", 0, errors.New("a status from 200 to 599")
		}
	}
	if _, err := url.ParseRequestURI(path); err != nil || path[0] != '/' || strings.ContainsAny(path, " #") {
		return "", 0, errors.New("a path that begins with a slash, without spaces and #")
	}
	return path, status, checkReadyText(path)
}

func isNumber(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

func checkReadyText(s string) error {
	printable := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
	if s == "" || len(s) > maxReadyText || !printable {
		return fmt.Errorf("1 to %d printable ASCII characters", maxReadyText)
	}
	return nil
}

// String returns the form that ParseReady reads.
func (r Ready) String() string {
	switch r.By {
	case ByHTTP, ByHTTPS:
		s := "http:" + r.Path
		if r.By == ByHTTPS {
			s = "https:" + r.Path
		}
		if r.Status != 0 {
			s += "=" + strconv.Itoa(r.Status)
		}
		return s
	case ByBanner:
		return "banner:" + r.Banner
	case ByDelay:
		return "delay:" + r.Delay.String()
	}
	return "syn-ack"
}
