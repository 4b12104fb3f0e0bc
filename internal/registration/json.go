package registration

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// maxWarnings bounds how many unknown keys are named.
const maxWarnings = 8

// object calls the function of each key with its value. A key that comes twice is an error:
// parsers differ in which of the values they use.
func (r *reader) object(path string, raw json.RawMessage, fields map[string]func(string, json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return wrong(path, raw, "an object")
	}
	seen := make(map[string]bool)
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return syntaxError(err)
		}
		key, _ := tok.(string) // a key is always a string
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return syntaxError(err)
		}
		at := join(path, key)
		if seen[key] {
			return Refuse(Invalid, "%s: found twice: expected once", at)
		}
		seen[key] = true
		field, known := fields[key]
		switch {
		case !known:
			if r.unknown++; r.unknown <= maxWarnings {
				r.req.Warnings = append(r.req.Warnings, at+": unknown key, ignored")
			}
		case string(value) == "null":
		default:
			if err := field(at, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// join returns the path of a member. A key with unusual characters is quoted, so that it cannot
// forge a line of the log.
func join(path, key string) string {
	if q := quoted(key); len(key) == 0 || len(key) > maxFound || q != `"`+key+`"` {
		key = q
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// list splits the JSON list in raw.
func list(path string, raw json.RawMessage, most int, example string) ([]json.RawMessage, error) {
	var entries []json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, wrong(path, raw, "a list "+example)
	}
	if len(entries) > most {
		return nil, Refuse(Invalid, "%s: found %d entries: expected at most %d", path, len(entries), most)
	}
	return entries, nil
}

// text reads a JSON string.
func text(path string, raw json.RawMessage, expected string) (string, error) {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", wrong(path, raw, expected)
	}
	return *s, nil
}

func missing(path, expected string) error {
	return Refuse(Invalid, "%s: missing: expected %s", path, expected)
}

// wrong returns the refusal of the value at path.
func wrong(path string, raw json.RawMessage, expected string) error {
	return Refuse(Invalid, "%s: found %s: expected %s", path, found(raw), expected)
}

// maxFound bounds how much of a client's value is repeated, in bytes.
const maxFound = 48

// found describes a JSON value in a few characters.
func found(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return "a string"
		}
		return quoted(s)
	default: // a number, true, false or null: plain ASCII
		return truncate(string(raw), maxFound)
	}
}

// quoted returns a client's text with its control characters escaped, cut to maxFound bytes.
func quoted(s string) string {
	if len(s) > maxFound {
		cut := maxFound
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		return strconv.Quote(s[:cut]) + "..."
	}
	return strconv.Quote(s)
}

// wholeNumber reads a JSON number such as 22, or 22.0, which some libraries write.
func wholeNumber(raw json.RawMessage) (int, bool) {
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return 0, false
	}
	return int(f), true
}
