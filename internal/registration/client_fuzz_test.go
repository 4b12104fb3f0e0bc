package registration

import (
	"errors"
	"net"
	"strings"
	"testing"
	"unicode"
)

// FuzzAnswer: only "OK." is a yes, whatever a porter says; what else it says can be
// shown on a terminal.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"", "OK.", "OK", "OK.\n", "OK.OK.", "no room, try again later", "\x1b[2J\x00", "a\nb", strings.Repeat("x", 3000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			body := make([]byte, 64<<10)
			if _, err := server.Read(body); err == nil {
				_, _ = server.Write([]byte(reply)) // a client need not read all of it
			}
			server.Close()
		}()
		err := exchange(t.Context(), client, Wire{MAC: "d8:cb:8a:39:be:a1"})
		<-done
		if (err == nil) != (reply == okAnswer) {
			t.Fatalf("%q: error %v", reply, err)
		}
		var r *Rejection
		if errors.As(err, &r) == (reply == "" || reply == okAnswer) {
			t.Fatalf("%q: error %v", reply, err)
		}
		if r != nil {
			if i := strings.IndexFunc(r.Answer, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("not printable at %d: %q", i, r.Answer)
			}
		}
	})
}
