package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/journal"
)

// FuzzEventQuery: what is asked for is written so that it is read as the same.
func FuzzEventQuery(f *testing.F) {
	for _, s := range []string{"", "since=0&machine=nas&limit=5", "since=-1", "limit=1001", "since=18446744073709551616", "%zz", "since=1&since=2", "limit=", "a;b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseEventQuery(raw)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error %q", err)
			}
			return
		}
		if q.Limit < 0 || q.Limit > MaxEvents {
			t.Errorf("limit %d", q.Limit)
		}
		again, err := parseEventQuery(q.encode())
		if diff := cmp.Diff(q, again); err != nil || diff != "" {
			t.Errorf("%q, written as %q: %v (-first +again):\n%s", raw, q.encode(), err, diff)
		}
	})
}

// FuzzBase: every input is refused, or an address to ask at which
// stays the same when it is typed.
func FuzzBase(f *testing.F) {
	for _, s := range []string{
		"", "porter", "porter:80", "http://porter:9717/sub/", "https://anna:pw@porter", "fe80::1%eth0", "[::1]:80", "[::1]", "ftp://x", "http://", ":80", "a b", "%", "http://x?y#z",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, from string) {
		u, err := parseBase(from)
		if err != nil {
			return
		}
		if u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q: %q", from, u)
		}
		again, err := parseBase(u.String())
		if err != nil || again.String() != u.String() {
			t.Errorf("%q is %q, and that is %q, error %v", from, u, again, err)
		}
	})
}

// FuzzStream: a client takes any stream without harm, and an event that it
// understood is one that it understands again.
func FuzzStream(f *testing.F) {
	good, err := json.Marshal(journal.Event{
		Seq: 7, At: time.Unix(1e9, 0), Kind: journal.Knock, Machine: "nas", MAC: ether.MAC{2},
		Source: netip.MustParseAddrPort("[fe80::1%eth0]:1"), Reason: "\n", Slept: time.Hour,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good))
	for _, s := range []string{
		"", ": keep-alive\n\n", "id: 1\ndata: " + string(good) + "\n\n", "data:{}\rdata:{}\n", "data: x\n\n", "data: " + strings.Repeat("x", 70000),
		`data:{"at":"9999-12-31T23:59:59+23:59","boot_seconds":1e300,"ip":"::%x"}`, `data:{"at":"9999-12-31T23:59:59-23:59"}`,
	} {
		f.Add(s)
	}
	c := &Client{target: target{base: &url.URL{Scheme: "http", Host: "porter"}}}
	collect := func(s string) (all []journal.Event, err error) {
		err = c.pass(strings.NewReader(s), func(e journal.Event) error { all = append(all, e); return nil })
		return all, err
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, stream := range []string{s, "data: " + s} {
			first, _ := collect(stream)
			var out strings.Builder
			for _, e := range first {
				b, err := json.Marshal(e)
				if err != nil {
					t.Fatalf("%+v cannot be sent: %v", e, err)
				}
				fmt.Fprintf(&out, "id: %d\ndata: %s\n\n", e.Seq, b)
			}
			second, err := collect(out.String())
			if err != nil && out.Len() < maxEventBytes {
				t.Fatalf("%v in\n%s", err, out.String())
			}
			if diff := cmp.Diff(first, second, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" && err == nil {
				t.Errorf("events of %q (-first +again):\n%s", stream, diff)
			}
		}
		stop := errors.New("enough")
		if err := c.pass(strings.NewReader("data: "+string(good)+"\n\n"+s), func(journal.Event) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("goes on after an error: %v", err)
		}
	})
}
