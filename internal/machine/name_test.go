package machine_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

func TestParseName(t *testing.T) {
	for s, want := range map[string]string{
		"nas": "nas", "my nas": "my nas", "Wohnzimmer-TV": "Wohnzimmer-TV", "ноутбук": "ноутбук", "サーバー": "サーバー", "Café": "Café",
		"Cafe\u0301": "Café", "ｎａｓ": "nas", "ﬁle": "file", "NASサーバー": "NASサーバー", "東京-1": "東京-1", "서버": "서버", "NAS дом": "NAS дом", "iPhone-Маши": "iPhone-Маши",
		"ชั้น 2": "ชั\u0e49น 2", "माँ का": "माँ का", "מחשב": "מחשב", "حاسوب": "حاسوب", "Wohnzimmer: Fernseher ☕\ufe0f": "Wohnzimmer: Fernseher ☕", "🖥\ufe0f": "🖥",
		"Tom's PC": "Tom's PC", "a\u00a0b": "a b", "02:00:00:00:00:01": "02:00:00:00:00:01", "x\u0302": "x\u0302", "①": "1", "-": "-", "ガ": "ガ", "ｶﾞ": "ガ",
	} {
		if got, err := machine.ParseName(s); err != nil || got != want {
			t.Errorf("%q: %q, error %v; want %q", s, got, err, want)
		}
	}
}

// TestAttackLookalikeName: a host registers with a name that shows nothing, or looks like
// that of another machine.
func TestAttackLookalikeName(t *testing.T) {
	for _, s := range []string{
		"\u3164", "nas\u3164", "\u2800", "nas\u2800", "na\u034fs", "nas\u115f", "nas\uffa0", "nas\u17b4", "nas\U000e0100", "\ufe0f", "\u200b", "nas\u200d", "nas\u00ad",
		"\u0301", "nas \u0301", "na\u0301\u0302\u0303\u0304\u0306\u0307s", "n\u20dd\u20dds", "\ufffc", "\U0001d159", "nas\u202e",
		"nаs", "pаypal", "nαs", "naѕ-1", "х1nas", "n\u20ddаs", "nーаs", "a/b", "", ".", " nas", strings.Repeat("ä", 65), strings.Repeat("\ufdfa", 10), "\xff",
	} {
		if got, err := machine.ParseName(s); err == nil {
			t.Errorf("%q (%+[1]q) is accepted as %q", s, got)
		}
	}
}

func TestMACInName(t *testing.T) {
	want := ether.MAC{2, 0, 0, 0, 0, 0x11}
	for s, in := range map[string]bool{
		"02:00:00:00:00:11": true, "02-00-00-00-00-11": true, "02∶00꞉00∶00∶00∶11": true, "02 00 00 00 00 11": true, "02:00:00:00:00:11-2": true, "02.00.00.00.00.11 nas": true,
		"02:00:00:00:00:112": false, "02:00:00:00:00:1": false, "02:00:00:00:00": false, "020000000011": false, "nas": false, "": false, "02:00:00:00:00:1g": false,
		"nas 02:00:00:00:00:11": false, "02:00:00:00:00:+1": false, "2:0:0:0:0:11": false,
	} {
		got, ok := machine.MACInName(s)
		if ok != in || ok && got != want {
			t.Errorf("%q: %v, %t", s, got, ok)
		}
	}
}

func TestNumbered(t *testing.T) {
	long := strings.Repeat("ä", 64)
	for _, c := range []struct {
		name string
		n    int
		want string
	}{{"nas", 2, "nas-2"}, {"nas-2", 2, "nas-2-2"}, {long, 10, strings.Repeat("ä", 61) + "-10"}, {strings.Repeat("a", 61) + " b", 2, strings.Repeat("a", 61) + "-2"}} {
		got := machine.Numbered(c.name, c.n)
		if got != c.want || machine.CheckName(got) != nil || machine.NumberOf(got, c.name) != c.n {
			t.Errorf("%q %d: %q, which is number %d", c.name, c.n, got, machine.NumberOf(got, c.name))
		}
	}
	for _, other := range []string{"nas", "nas-1", "nas-02", "nas-x", "nas-", "tv-2", "nas-+2"} {
		if n := machine.NumberOf(other, "nas"); n != 0 {
			t.Errorf("%q is number %d of nas", other, n)
		}
	}
}

func TestSalvage(t *testing.T) {
	mac := ether.MAC{2, 0, 0, 0, 0, 0x11}
	for s, want := range map[string]string{
		"nas": "nas", "nas\u3164": "nas", "na\u034fs": "nas", "\u2800": mac.String(), "": mac.String(), "nаs": mac.String(), " a/b\x1b ": "ab", "Cafe\u0301": "Café",
		"\u202e\xffx\n": "x", strings.Repeat("a", 200): mac.String(), "\u0301": mac.String(), "..": mac.String(),
	} {
		if got := machine.CleanName(s, mac); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// FuzzParseName: a name in the form in which it is kept is that form, and each name has
// one that is allowed.
func FuzzParseName(f *testing.F) {
	for _, s := range []string{"nas", "Cafe\u0301", "na\u034fs", "\u3164", "nаs", "☕\ufe0f", "\ufe0f\u0301", strings.Repeat("\ufdfa", 4), "02∶00", "ｶﾞ", "a\u0301\u0301"} {
		f.Add(s, 2)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		if name, err := machine.ParseName(s); err == nil {
			if again, err := machine.ParseName(name); err != nil || again != name {
				t.Errorf("%q becomes %q, and then %q, error %v", s, name, again, err)
			}
			if n > 1 {
				if other := machine.Numbered(name, n); machine.CheckName(other) != nil || machine.NumberOf(other, name) != n {
					t.Errorf("%q: %q, error %v, number %d", name, other, machine.CheckName(other), machine.NumberOf(other, name))
				}
			}
		} else if !utf8.ValidString(err.Error()) {
			t.Errorf("the error is not UTF-8: %q", err)
		}
		if mac, ok := machine.MACInName(s); ok {
			if again, ok := machine.MACInName(mac.String()); !ok || again != mac {
				t.Errorf("%q begins with %v, which is %v", s, mac, again)
			}
		}
		if kept := machine.CleanName(s, ether.MAC{2}); machine.CheckName(kept) != nil {
			t.Errorf("%q becomes %q: %v", s, kept, machine.CheckName(kept))
		}
	})
}
