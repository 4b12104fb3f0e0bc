package notify

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nightporter/internal/journal"
	"nightporter/internal/notifyconf"
)

// evilNames are names that a registration may have, or had.
var evilNames = []string{
	"x';touch pwned;'", "x'\\'';touch pwned;'", "$(touch pwned)", "x;touch pwned", "x&touch pwned", "x`touch pwned`", "x\ntouch pwned", "x'\"'\"';touch pwned;'",
	"--machine", "-x", "!!", "x\\';touch pwned;'", "x’;touch pwned;‘", "a b", "ноутбук", "${IFS}touch", "~", "*",
}

// TestAttackNameIsShellCode: a machine registers with a name that is shell code, does not
// wake, and the operator pastes the command of the message into a shell. Some services
// take a backslash for markup, and show the command without it.
func TestAttackNameIsShellCode(t *testing.T) {
	bin := t.TempDir()
	called := filepath.Join(bin, "called")
	stub := "#!/bin/sh\nprintf '%s\\n' \"$@\" > " + called + "\n"
	if err := os.WriteFile(filepath.Join(bin, "nightporter"), []byte(stub), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(evilNames, "nas", "my nas") {
		text := compose(failure(name), knock(name)).Text
		for _, shown := range []string{text, strings.ReplaceAll(text, `\`, "")} {
			_, command, _ := strings.Cut(shown, "What was tried: ")
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
			cmd.Dir, cmd.Env = dir, []string{"PATH=" + bin + ":/usr/bin:/bin"}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%q: %s: %v, %s", name, command, err, out)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%q: %s left %v, %v", name, command, left, err)
			}
			args, err := os.ReadFile(called)
			if got := string(args); err != nil || got != "events\n" && got != "events\n--machine\n"+name+"\n" {
				t.Errorf("%q: %s has the arguments %q, %v", name, command, got, err)
			}
		}
	}
	if text := compose(failure("my nas"), knock("my nas")).Text; !strings.HasSuffix(text, "nightporter events --machine 'my nas'") {
		t.Errorf("the message ends in %q", text)
	}
}

// clickable matches what phones and chats make a link of.
var clickable = regexp.MustCompile(`://|[^ ][.\x{3002}\x{ff0e}\x{ff61}][\pL\pN]|(?i)\b(tel|sms|mailto|intent|javascript|data|geo|sip):[^ ]|\+?[0-9](?:[ ()/-]*[0-9]){6,}|(^| )/[\pL\pN]`)

// TestAttackLinkInMessage: a name from the LAN is a link, or a number to call.
func TestAttackLinkInMessage(t *testing.T) {
	for text, want := range map[string]string{
		"http://evil.example/login": "http: //evil·example/login", "www.evil.example": "www·evil·example", "evil。example": "evil·example", "a.b.c.d": "a·b·c·d",
		"203.0.113.5/login": "203·0·113·5/login", "tel:0900123": "tel: 090·012·3", "call +49 (900) 123-4567": "call 499·001·234·567", "/start now": "/ start now",
		"javascript:alert": "javascript: alert", "tg://resolve": "tg: //resolve", "x://y": "x: //y",
		"nas": "nas", "monitor: found 3": "monitor: found 3", "d8:cb:8a:39:be:a1": "d8:cb:8a:39:be:a1", "fd77:beef::20": "fd77:beef::20", "02-00-00-00-00-11": "02-00-00-00-00-11",
		"It waits. It is tried.": "It waits. It is tried.", "nas (2)": "nas (2)", "22/tcp": "22/tcp", "Tom's PC": "Tom's PC",
	} {
		if got := plain(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	for _, kind := range notifyconf.Kinds() {
		e := journal.Event{Kind: kind, Machine: "evil.example", Reason: "found http://evil.example/login or tel:0900123 or +49 900 1234567", By: "evil.example/x"}
		m := compose(e, journal.Event{Kind: journal.Asked, By: "evil.example"})
		var o summary
		o.add(e)
		for _, s := range []string{m.Title, m.Text, o.String()} {
			if found := clickable.FindString(s); found != "" {
				t.Errorf("%s: %q can be clicked in %q", kind, found, s)
			}
		}
	}
}

// FuzzUnlinked: no text keeps anything that can be clicked.
func FuzzUnlinked(f *testing.F) {
	for _, s := range []string{"http://evil.example", "a.b", "12.34567890", "tel:1", "a::b", "://://", "..a", "1 2 3 4 5 6 7 8", "/a /b", "x.:y", "02-00-00-00-00-11-22"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := plain(s)
		for _, found := range clickable.FindAllString(got, -1) {
			if !regexp.MustCompile(`^([0-9]{2}-){5}[0-9]{2}$`).MatchString(found) { // a MAC address
				t.Errorf("%q becomes %q, in which %q can be clicked", s, got, found)
			}
		}
		if strings.Contains(got, "\n") {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}
