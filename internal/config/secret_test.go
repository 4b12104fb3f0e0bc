package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"nightporter/internal/config"
)

// inQuotes is what an error about the spelling of a secret says.
const inQuotes = "since it is a secret: write it in quotes"

// TestAttackMistypedSecret: an operator writes a secret that begins with a character
// that means something in YAML. The daemon would start without it, open to everyone,
// or show it in its log.
func TestAttackMistypedSecret(t *testing.T) {
	machineWith := func(member string) string { return oneMachine("password: " + member) }
	for _, tt := range []struct{ file, key, found string }{
		{"registration:\n  token: &S3cretTOKEN\n", "registration.token", "an anchor (&)"},
		{"registration:\n  token: &S3cretTOKEN x\n", "registration.token", "an anchor (&)"},
		{"registration:\n  token: #S3cretTOKEN\n", "registration.token", "nothing"},
		{"registration:\n  token: # S3cretTOKEN\n", "registration.token", "nothing"},
		{"registration:\n  token: !S3cretTOKEN\n", "registration.token", "a tag (!)"},
		{"registration:\n  token: !!str S3cretTOKEN\n", "registration.token", "a tag (!)"},
		{"registration:\n  token: ! S3cretTOKEN\n", "registration.token", "a text that YAML takes for another"},
		{"registration:\n  token: S3cret\n    TOKEN\n", "registration.token", "a text that YAML takes for another"},
		{"registration:\n  token: ~\n", "registration.token", "nothing"},
		{"registration:\n  token: null\n", "registration.token", "nothing"},
		{"registration:\n  token:\n", "registration.token", "nothing"},
		{"registration:\n  token: |-\n", "registration.token", "a block of text (| or >)"},
		{"registration:\n  token: >\n    S3cretTOKEN\n", "registration.token", "a block of text (| or >)"},
		{"registration:\n  token: S3cretTOKEN #x\n", "registration.token", "a comment behind the value"},
		{"registration: {token: S3cretTOKEN #x\n}\n", "registration.token", "a comment behind the value"},
		{"registration: {token: }", "registration.token", "nothing"},
		{"registration: {token}", "registration.token", "nothing"},
		{"? registration\n: ? token\n  : &S3cretTOKEN\n", "registration.token", "an anchor (&)"},
		{"log: {level: &k token}\nregistration: {*k : &S3cretTOKEN }\n", "registration.token", "an anchor (&)"},
		{"registration: {<<: {token: &S3cretTOKEN }}\n", "registration.token", "an anchor (&)"},
		{"registration: &r {token: !S3cretTOKEN }\nhttp: {<<: *r}\n", "http.token", "a tag (!)"},
		{"http: {token: &S3cretTOKEN }\n", "http.token", "an anchor (&)"},
		{"state_dir: &s /S3cretTOKEN\nhttp: {token: *s}\n", "http.token", "an alias (*)"},
		{"notify:\n  urls: #ntfy://S3cretTOKEN@host/x\n", "notify.urls", "nothing"},
		{"notify:\n  urls: &S3cretTOKEN\n", "notify.urls", "an anchor (&)"},
		{"notify:\n  urls:\n  - &S3cretTOKEN\n", "notify.urls[0]", "an anchor (&)"},
		{"notify:\n  urls:\n  - #S3cretTOKEN\n", "notify.urls[0]", "nothing"},
		{"registration: &S3cretTOKEN\n", "registration", "an anchor (&)"},
		{"http: !S3cretTOKEN\n", "http", "a tag (!)"},
		{machineWith("&S3cretTOKEN"), "machines[0].password", "an anchor (&)"},
		{machineWith("~"), "machines[0].password", "nothing"},
		{machineWith("!S3cretTOKEN "), "machines[0].password", "a tag (!)"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			path := write(t, "config.yaml", tt.file)
			_, err := config.Load(path, true, nil, nil, readURLs)
			if err == nil || !strings.Contains(withoutLines(err), tt.key+": found "+tt.found+" (from "+path+"): expected") || !strings.Contains(err.Error(), inQuotes) {
				t.Errorf("error %v, want one of %s that found %s", err, tt.key, tt.found)
			}
			wantNoSecret(t, path, err)
		})
	}
	for _, file := range []string{ // which the library refuses, in words of its own
		"registration: {token: *S3cretTOKEN }\n", "registration: {token: !!int S3cretTOKEN }\n", "registration: {token: !!binary S3cretTOKEN }\n",
		"registration: {S3cretTOKEN: 1, S3cretTOKEN: 2}\n", "registration: {<<: S3cretTOKEN}\n", "registration: {token: \"\\S3cretTOKEN\"}\n",
		"registration: {token:S3cretTOKEN}\n", "registration: {token=S3cretTOKEN: 1}\n", "registration: {token: a,S3cretTOKEN}\n",
		"machines: [{password:S3cretTOKEN, name: x}]\n", "registration:\n  token:\n  S3cretTOKEN: x\n", "%S3cretTOKEN\n", "registration: S3cretTOKEN\n",
	} {
		t.Run(file, func(t *testing.T) {
			path := write(t, "config.yaml", file)
			_, err := config.Load(path, true, nil, nil, readURLs)
			if err == nil {
				t.Error("accepted")
			}
			wantNoSecret(t, path, err)
		})
	}
}

func wantNoSecret(t *testing.T, path string, err error) {
	t.Helper()
	if err != nil && strings.Contains(strings.ToLower(strings.ReplaceAll(err.Error(), path, "")), "s3cret") {
		t.Errorf("the error shows the secret: %v", err)
	}
}

// That there is no secret can be said, and only explicitly.
func TestNoSecret(t *testing.T) {
	for _, file := range []string{
		"registration: {token: \"\"}\n", "registration: {token: ''} # none\n", "http:\n  token: \"\" # none\n", "notify: {urls: []}\n",
		"registration:\n", "notify:\n  # urls: [x]\n", "notify:\n  urls: [] # none yet\n",
	} {
		c, err := config.Load(write(t, "config.yaml", file), true, nil, nil, readURLs)
		if err != nil || c.Registration.Token != "" || c.HTTP.Token != "" || len(c.Notify.URLs) != 0 {
			t.Errorf("%q: %+v, error %v", file, c, err)
		}
	}
	for _, file := range []string{"\ufeffregistration: {token: pässwört}\n", "# ä\u2028# b\r\nregistration: {trust: open, \"token\": pässwört}\r\n", "log: {format: json} # 日本\rregistration:\n  token: pässwört\n"} {
		if c := load(t, file, nil); c.Registration.Token != "pässwört" {
			t.Errorf("%q: %q", file, c.Registration.Token)
		}
	}
	c := load(t, "notify:\n  urls:\n  - ntfy://ntfy.sh/topic # my phone\n", nil)
	if len(c.Notify.URLs) != 1 {
		t.Error("a comment behind a URL is an error")
	}
}

// spellings are ways to write a secret into a file; S stands for it.
var spellings = []string{
	"registration:\n  token: S\n", "registration:\n  token: S\n  rate: 5\n", "registration: {token: S}\n", "registration: {rate: 5, token: S}\n",
	"registration:\n  token:S\n", "registration:\n  token:\n    S\n", "registration:\n  token:\n  S\n", "registration:\n  ? token\n  : S\n",
	"registration: {\"token\": S}\n", "registration:\n  token: !!str S\n", "registration:\n  token: &a S\n", "registration:\n  token: *S\n", "registration:\n  token: !S\n",
	"registration:\n  token: |-\n    S\n", "registration:\n  token: 'S'\n", "registration:\n  token: \"S\"\n", "registration:\n  token = S\n", "registration: token: S\n",
	"token: S\n", "registration:\n- token: S\n", "registration:\n  token: [S]\n", "registration:\n  token: {S: x}\n", "registration:\n  token: S #\n", "registration:\n\ttoken: S\n",
	"http: &h {rate: 5}\nregistration: {<<: *h, token: S}\n", "registration: {<<: {token: S}}\n", "registration: S\n", "notify: {urls: [S]}\n", "notify:\n  urls: S\n",
}

// TestSecretsAreExactOrErrors: however a secret is spelled in a file, it is taken as
// what was meant or is an error, and no error shows it.
func TestSecretsAreExactOrErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	rapid.Check(t, func(t *rapid.T) {
		runes := rapid.SampledFrom([]rune("abcXYZ019&*!#|>%@`\"'[]{},:?-=~ \\/+.$<"))
		secret := string(rapid.SliceOfN(runes, 8, 24).Draw(t, "secret"))
		spelling := rapid.SampledFrom(spellings).Draw(t, "spelling")
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(spelling, "S", secret)), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path, true, nil, nil, readURLs)
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the secret %q: %v", secret, err)
			}
			return
		}
		if got := c.Registration.Token; got != secret && !unknowable(spelling, secret, got) {
			t.Errorf("%q is taken for %q", secret, got)
		}
	})
}

// unknowable reports whether nothing in the file shows that more was meant than got:
// white space at an end, a comment behind a section, quotes of the secret's own, or what ends a quoted text or a
// list of keys and goes on as YAML.
func unknowable(spelling, secret, got string) bool {
	trimmed := strings.TrimSpace(secret)
	if got == trimmed || spelling == "registration: S\n" && trimmed[0] == '#' || strings.ContainsAny(trimmed[:1], `"'`) {
		return true
	}
	quoted := strings.ContainsAny(spelling, `'"`) && strings.ContainsAny(secret, `'"\`)
	return quoted || strings.Contains(spelling, "{") && strings.ContainsAny(secret, ",}") && got != ""
}

// TestPrintedSecrets: a secret that is set in the environment is read again from the file
// that is made of the configuration.
func TestPrintedSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[ -~äß☕]{8,200}`).Draw(t, "secret")
		c, err := config.Load(path, false, []string{"NIGHTPORTER_REGISTRATION__TOKEN=" + secret, "NIGHTPORTER_HTTP__TOKEN=" + secret}, nil, readURLs)
		if err != nil {
			return // it is too long
		}
		printed, err := c.Reveal()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, printed, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
		again, err := config.Load(path, true, nil, nil, readURLs)
		if err != nil || again.Registration.Token != secret || again.HTTP.Token != secret {
			t.Errorf("%q: %v in\n%s", secret, err, printed)
		}
	})
}

// FuzzSecret: TestSecretsAreExactOrErrors for the text of a whole file around a secret
// that stands nowhere else.
func FuzzSecret(f *testing.F) {
	for _, s := range spellings {
		before, after, _ := strings.Cut(s, "S")
		f.Add(before, after)
	}
	const secret = "zQ7secret9Xw"
	path := filepath.Join(f.TempDir(), "config.yaml")
	f.Fuzz(func(t *testing.T, before, after string) {
		if err := os.WriteFile(path, []byte(before+secret+after), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(path, true, nil, nil, readURLs)
		// Elsewhere it is no secret: of a key, a path or a name an error says what it found.
		if err != nil && strings.Contains(err.Error(), secret) && !slices.ContainsFunc(strings.Split(err.Error(), "\n"), notAboutSecrets(secret)) {
			t.Errorf("%q: %v", before+secret+after, err)
		}
	})
}

func notAboutSecrets(secret string) func(line string) bool {
	return func(line string) bool {
		return strings.Contains(line, secret) && !strings.Contains(line, "token") && !strings.Contains(line, "notify.urls") && !strings.Contains(line, "password")
	}
}
