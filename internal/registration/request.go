package registration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"nightporter/internal/machine"
)

// What one registration may hold.
const (
	MaxBody      = 64 << 10 // bytes
	MaxAddresses = 16       // entries of monitor, and of guests
	MaxPorts     = 256      // entries of one port list
	MaxWakeFrom  = 64       // entries of wake_from
	maxWatts     = machine.MaxWatts
)

// Defaults are the values of fields that a registration leaves out.
type Defaults struct {
	IdleWatts  float64 // watts
	SleepWatts float64 // watts
}

// Request is one decoded registration. A field that the client left out has its default in
// Spec and false in its Has field, so that the configuration of the machine can fill it in.
type Request struct {
	machine.Spec
	Guests           []machine.Address // of the machine; the MAC may be zero until the guest answers
	ConfiguredGuests []machine.Address // guests of the machine that the configuration names
	Token            string            // what the client sent
	RequiredSecret   machine.Secret    // of the machine's own token; zero: it has none
	Here             bool              // it is up and to be watched; otherwise it is about to sleep
	Trial            bool              // check only: nothing is registered
	Warnings         []string          // what was ignored, one line each

	HasName       bool // otherwise Name is empty
	HasMonitor    bool // otherwise Monitor is empty: fit only for a machine the configuration knows
	HasIdleWatts  bool
	HasSleepWatts bool
	HasPassword   bool
	HasWakeFrom   bool
	HasWakeMAC    bool
	HasGuests     bool // otherwise Guests is empty, and those of the configuration stay
}

// Decode reads one registration. Unknown keys become warnings, because clients of Wakupator
// may send other keys. A key whose value is null counts as absent.
//
// The error is a *Refusal whose text is one line of at most 400 bytes that
// names the path of the field, what was found and what was expected.
func Decode(body []byte, d Defaults) (Request, error) {
	if len(body) > MaxBody {
		return Request{}, errOversize
	}
	// The buffer holds the whole body, so that text after the object is found.
	raw, err := readObject(bufio.NewReaderSize(bytes.NewReader(body), len(body)+1))
	if err != nil {
		return Request{}, err
	}
	return decodeObject(raw, d)
}

var errOversize = Refuse(Limited, "the request is larger than %d bytes", MaxBody)

var byteOrderMark = []byte("\ufeff")

// readObject reads one JSON object, and does not wait for more: the client may keep its side
// open. Text that has arrived after the object must be white space.
func readObject(br *bufio.Reader) (json.RawMessage, error) {
	if err := skipToObject(br); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(br)
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return nil, syntaxError(err)
	}
	rest, err := io.ReadAll(dec.Buffered())
	if err != nil {
		return nil, err
	}
	behind, err := br.Peek(br.Buffered())
	if err != nil {
		return nil, err
	}
	for _, b := range [][]byte{rest, behind} {
		if len(bytes.Trim(b, " \t\r\n")) != 0 {
			return nil, Refuse(Invalid, "found more text after the JSON object: expected nothing")
		}
	}
	return raw, nil
}

// skipToObject skips white space and a byte order mark (RFC 8259 section 8.1 allows a parser
// to ignore it, and some Windows programs write one), and refuses other text at once.
func skipToObject(br *bufio.Reader) error {
	for first := true; ; first = false {
		b, err := br.Peek(1)
		if err != nil {
			return syntaxError(err)
		}
		switch b[0] {
		case ' ', '\t', '\r', '\n':
		case '{':
			return nil
		case byteOrderMark[0]:
			if b, err := br.Peek(len(byteOrderMark)); err != nil || !first || !bytes.Equal(b, byteOrderMark) {
				return errNoObject
			}
			if _, err := br.Discard(len(byteOrderMark) - 1); err != nil {
				return err
			}
		default:
			return errNoObject
		}
		if _, err := br.Discard(1); err != nil {
			return err
		}
	}
}

var errNoObject = Refuse(Invalid, `expected one JSON object such as {"mac": "d8:cb:8a:39:be:a1", "monitor": [...]}`)

// syntaxError returns the refusal for a JSON error. Errors of the connection are returned as
// they are.
func syntaxError(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return Refuse(Invalid, "not valid JSON: %v", syntax)
	case errors.Is(err, io.EOF):
		return errNothing
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Refuse(Invalid, "the request ended inside the JSON object")
	default:
		return err
	}
}

// errNothing is the answer to a connection without data: a port scan, or a probe of a load
// balancer.
var errNothing = Refuse(Invalid, "the request was empty: expected one JSON object")

// decodeObject reads a registration from a valid JSON object.
func decodeObject(raw json.RawMessage, d Defaults) (Request, error) {
	if !utf8.Valid(raw) {
		return Request{}, Refuse(Invalid, "the request is not UTF-8") // RFC 8259 section 8.1
	}
	var r reader
	if err := r.registration(raw, d); err != nil {
		return Request{}, err
	}
	return r.req, nil
}
