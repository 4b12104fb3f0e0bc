package notify

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"nightporter/internal/ether"
)

// plain makes text from the LAN harmless. It replaces characters that control a terminal or the
// direction of text, that begin a mail header, or that are markup in HTML, in Markdown or in a
// chat (a tag, a link, "@everyone"). Nothing is escaped, because services differ in their markup.
func plain(s string) string { return unlinked(unmarked(s)) }

func unmarked(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		case strings.ContainsRune("<>&@#*`~|\\[]{}", r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// address returns an address or a service as it is, and any other text as plain does.
func address(s string) string {
	host, protocol, _ := strings.Cut(s, "/")
	_, err := netip.ParseAddrPort(host)
	if err != nil {
		_, err = netip.ParseAddr(host)
	}
	if err == nil && !strings.Contains(host, "%") && slices.Contains([]string{"", "tcp", "udp", "icmp"}, protocol) {
		return s
	}
	return plain(s)
}

// middleDot replaces a character that would make a link of a word.
const middleDot = "·"

// Words of which a phone or a chat makes a link, without any markup.
var (
	schemed  = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+-]+):([^ ])`)             // tel:1, intent:x (RFC 3986 section 3.1)
	dotted   = regexp.MustCompile(`([^ ])[.\x{3002}\x{ff0e}\x{ff61}]([\pL\pN])`) // host.example, with the dots of RFC 3490 section 3.1
	number   = regexp.MustCompile(`\+?[0-9](?:[ ()/-]*[0-9]){6,}`)               // of a telephone
	rooted   = regexp.MustCompile(`(^| )/([\pL\pN])`)                            // a command to a bot
	hexGroup = regexp.MustCompile(`^[0-9A-Fa-f]+$`)
)

// unlinked returns plain text in which nothing can be clicked.
func unlinked(s string) string {
	s = strings.ReplaceAll(s, "://", ": //")
	s = schemed.ReplaceAllStringFunc(s, func(found string) string {
		scheme, rest, _ := strings.Cut(found, ":")
		if hexGroup.MatchString(scheme) {
			return found // of a MAC or an IPv6 address
		}
		return scheme + ": " + rest
	})
	for dotted.MatchString(s) { // a letter between two dots belongs to both
		s = dotted.ReplaceAllString(s, "${1}"+middleDot+"${2}")
	}
	s = rooted.ReplaceAllString(s, "${1}/ ${2}")
	return number.ReplaceAllStringFunc(s, func(found string) string {
		if _, err := ether.ParseMAC(found); err == nil {
			return found
		}
		return grouped(found)
	})
}

// grouped returns the digits of a number in groups, which no telephone makes a link of.
func grouped(number string) string {
	var groups []string
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
	for len(digits) > 3 {
		groups, digits = append(groups, digits[:3]), digits[3:]
	}
	return strings.Join(append(groups, digits), middleDot)
}
