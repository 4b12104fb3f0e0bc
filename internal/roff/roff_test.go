package roff_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"nightporter/internal/roff"
)

func page() *roff.Page {
	p := roff.NewPage("night-porter", "1", "v1.2 \"beta\"", "nightporter")
	p.Section("NAME")
	p.Text("night-porter - keeps a porter")
	p.Section("OPTIONS")
	p.Item("--wake.local", "true: `nightporter check --host` says\n.so /etc/passwd\n\nsecond ~ 'paragraph' ^")
	p.Code("  curl -s 'http://a/b' \\\n.hidden\n'quoted' \"$x\"\n")
	return p
}

func TestPage(t *testing.T) {
	const want = `.TH "NIGHT\-PORTER" "1" "" "v1.2 \(dqbeta\(dq" "nightporter"
.SH "NAME"
.nh
.ad l
night\-porter \- keeps a porter
.SH "OPTIONS"
.TP
\fB\-\-wake.local\fR
.nh
.ad l
true: \fBnightporter check \-\-host\fR says
\&.so /etc/passwd
.IP
.nh
.ad l
second \(ti \(aqparagraph\(aq \(ha
.PP
.EX
  curl \-s \(aqhttp://a/b\(aq \e
\&.hidden
\(aqquoted\(aq "$x"
.EE
`
	if got := page().String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// groff renders a page without warnings.
func TestRendered(t *testing.T) {
	out := rendered(t, page().String())
	for _, want := range []string{"night-porter - keeps a porter", "nightporter check --host says .so /etc/passwd", "second ~ 'paragraph' ^", "  curl -s 'http://a/b' \\\n", ".hidden\n", "'quoted' \"$x\"\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// FuzzPage: no text becomes a request of groff. Every request is one of this package.
func FuzzPage(f *testing.F) {
	for _, s := range []string{"plain", ".so /etc/passwd", "'br", "a\n\n.b", "`x\n.y`", "\\fBx", "\r.x", "``", "`", "\"\n.x"} {
		f.Add(s)
	}
	own := map[string]bool{".TH": true, ".nh": true, ".ad": true, ".SH": true, ".SS": true, ".PP": true, ".TP": true, ".IP": true, ".EX": true, ".EE": true}
	requests := func(text string) int {
		n := 0
		for line := range strings.Lines(text) {
			word, _, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
			if strings.HasPrefix(word, ".") && !own[word] || strings.HasPrefix(word, "'") {
				n++
			}
		}
		return n
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := roff.NewPage(text, "1", text, text)
		p.Section(text)
		p.Subsection(text)
		p.Text(text)
		p.Item(strings.ReplaceAll(text, "\n", " "), text)
		p.Code(text)
		if requests(p.String()) > 0 {
			t.Errorf("a request got through:\n%s", p)
		}
	})
}

// rendered is a page as a terminal of 100 columns shows it.
func rendered(t *testing.T, page string) string {
	t.Helper()
	groff, err := exec.LookPath("groff")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip("not tested:", err)
	}
	cmd := exec.Command(groff, "-man", "-Tascii", "-P-cbou", "-ww", "-rLL=100n")
	cmd.Stdin = strings.NewReader(page)
	var warnings strings.Builder
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil || warnings.Len() > 0 {
		t.Fatalf("%v\n%s\n%s", err, warnings.String(), page)
	}
	return string(out)
}
