package machine_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"unicode"

	"nightporter/internal/machine"
)

// FuzzParseReady: what is read is written in a way that is read as the same.
func FuzzParseReady(f *testing.F) {
	for _, s := range []string{"syn-ack", "http:/", "https:/a?b=c", "http:/x=204", "http:/x=2=204", "http:/x=600", "http:x", "http:/ ", "banner:SSH-2.0", "banner:", "delay:5s", "delay:0s", "delay:1h", "", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := machine.ParseReady(s)
		if err != nil {
			if r != (machine.Ready{}) {
				t.Errorf("%q: %v with an error", s, r)
			}
			return
		}
		if again, err := machine.ParseReady(r.String()); err != nil || again != r {
			t.Errorf("%q is written as %q, which is read as %v, %v", s, r, again, err)
		}
	})
}

// FuzzParsePort: what is read is written in a way that is read as the same.
func FuzzParsePort(f *testing.F) {
	for _, s := range []string{"22/tcp", "51820/udp", "icmp", "22", "0", "65536", "+1", "-1", "22/sctp", "22/tcp/udp", "/", "022/tcp", "icmp/tcp", "2 2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ports, err := machine.ParsePort(s)
		if err != nil {
			if ports != nil {
				t.Errorf("%q: %v with an error", s, ports)
			}
			return
		}
		number, _, named := strings.Cut(s, "/")
		if want := 1; len(ports) != want && (named || s == "icmp" || len(ports) != 2) {
			t.Fatalf("%q: %d ports", s, len(ports))
		}
		for _, p := range ports {
			if (p.Number == 0) != (p.Protocol == machine.ICMP) || p.Number != 0 && strings.TrimLeft(number, "0") != strings.Split(p.String(), "/")[0] {
				t.Errorf("%q: port %v", s, p)
			}
			again, err := machine.ParsePort(p.String())
			if err != nil || !slices.Equal(again, []machine.Port{p}) {
				t.Errorf("%v is read again as %v, %v", p, again, err)
			}
		}
	})
}

// FuzzParsePassword: four bytes or six, and the error never repeats a secret.
func FuzzParsePassword(f *testing.F) {
	for _, s := range []string{"01:23:45:67:89:ab", "192.0.2.1", "::1", "::ffff:192.0.2.1", "hunter2", ""} {
		f.Add(s)
	}
	_, refused := machine.ParsePassword("")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := machine.ParsePassword(s)
		switch {
		case err != nil && (p != nil || err.Error() != refused.Error()):
			t.Errorf("%q: %x, error %v", s, p, err)
		case err == nil && len(p) == 4 && net.IP(p).String() == s:
		case err == nil && len(p) == 6 && strings.EqualFold(net.HardwareAddr(p).String(), strings.ReplaceAll(s, "-", ":")):
		case err == nil:
			t.Errorf("%q: %x", s, p)
		}
	})
}

// FuzzCheckName: a name that is accepted is a path segment and a word in a log.
func FuzzCheckName(f *testing.F) {
	for _, s := range []string{"tower", "böse Maus", ".", "..", "...", "a/b", " x", "\u202e", "\xff", strings.Repeat("ä", 65)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if machine.CheckName(s) != nil {
			return
		}
		if s == "" || s == "." || s == ".." || s != strings.TrimSpace(s) || len([]rune(s)) > 64 || strings.ToValidUTF8(s, "") != s {
			t.Errorf("%q is accepted", s)
		}
		if i := strings.IndexFunc(s, func(r rune) bool { return r == '/' || !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q is accepted, with a character at %d that cannot be shown", s, i)
		}
	})
}
