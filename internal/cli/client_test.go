package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// An error says what was found and what was expected.
func TestAskErrors(t *testing.T) {
	url := servePorter(t, newTwoMachines(), web.Access{})
	empty := newTwoMachines()
	empty.machines = nil
	none := servePorter(t, empty, web.Access{})
	const refused = "nightporter: no nightporter answers at 127.0.0.1:1 (connection refused): is it running (systemctl status nightporter)? " +
		"For a porter on another host: --from HOST, or NIGHTPORTER_FROM"
	const unknown = `nightporter: no machine is named "tv"; there are: nas, pc` + "\uFFFD"
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"status", "--from", "http://127.0.0.1:1"}, 1, refused},
		{[]string{"status", "--watch", "--from", "http://127.0.0.1:1"}, 1, refused},
		{[]string{"wake", "nas", "--from", "http://127.0.0.1:1"}, 1, refused},
		{[]string{"forget", "nas", "--from", "127.0.0.1:1"}, 1, refused},
		{[]string{"wake", "nas", "--wait", "1s", "--from", "http://127.0.0.1:1"}, 1, refused},
		{[]string{"status", "tv", "--from", url}, 1, unknown},
		{[]string{"wake", "tv", "--from", url}, 1, unknown},
		{[]string{"forget", "tv", "--from", url}, 1, unknown},
		{[]string{"why", "tv", "--from", url}, 1, unknown},
		{[]string{"why"}, 2, "nightporter why: found 0 names, expected one"},
		{[]string{"wake", "tv", "--wait", "1s", "--from", url}, 1, unknown},
		{[]string{"wake", "tv", "--from", none}, 1, `nightporter: no machine is named "tv": the porter knows no machine yet`},
		{[]string{"status", "--from", "ftp://porter"}, 2, `nightporter status: --from: found "ftp://porter", expected a URL such as http://porter:9717`},
		{[]string{"wake", "nas", "--wait", "-1s", "--from", url}, 2, "nightporter wake: --wait: found -1s, expected a time such as 2m, or 0"},
		{[]string{"wake", "nas", "--token-file", "/nonexistent", "--from", url}, 1, "nightporter: --token-file: open /nonexistent: no such file or directory"},
		{[]string{"wake"}, 2, "nightporter wake: found 0 names, expected one"},
		{[]string{"forget", "nas", "pc"}, 2, "nightporter forget: found 2 names, expected one"},
		{[]string{"status", "nas", "pc"}, 2, "nightporter status: found 2 names, expected one or none"},
		{[]string{"status", "--json", "--watch"}, 2, "nightporter status: --json and --watch: give one of them"},
	} {
		code, out, errs := runCommand(t, tt.args...)
		if code != tt.code || out != "" || errs != tt.want+"\n" {
			t.Errorf("%q: exit code %d, printed %q\ngot  %swant %s", tt.args, code, out, errs, tt.want)
		}
	}
}

func TestWakeCommandShowsTheToken(t *testing.T) {
	const token = "open sesame"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := servePorter(t, newTwoMachines(), web.Access{Token: token})
	withUser := strings.Replace(url, "://", "://anna:secret@", 1)
	const none = "nas was not woken: this porter requires a token: give --token-file FILE, or set NIGHTPORTER_HTTP__TOKEN"
	const other = "nas was not woken: the token is not this porter's http.token: give --token-file FILE, or set NIGHTPORTER_HTTP__TOKEN"
	for _, tt := range []struct {
		name, from, variable string
		args                 []string
		wrong                string // the error
	}{
		{"none", url, "", nil, none},
		{"a file", url, "", []string{"--token-file", file}, ""},
		{"the environment", url, token, nil, ""},
		{"the file goes first", url, "another", []string{"--token-file", file}, ""},
		{"another", url, "another", nil, other},
		{"beside a password", withUser, token, nil, ""},
	} {
		t.Setenv(tokenVariable, tt.variable)
		code, out, errs := runCommand(t, append([]string{"wake", "nas", "--from", tt.from}, tt.args...)...)
		if tt.wrong == "" && (code != 0 || out != "nas is waking\n" || errs != "") {
			t.Errorf("%s: exit code %d, %q, %q", tt.name, code, out, errs)
		}
		if tt.wrong != "" && (code != 1 || errs != "nightporter: "+tt.wrong+"\n") {
			t.Errorf("%s: exit code %d, %q; want %s", tt.name, code, errs, tt.wrong)
		}
	}
}

// forget sends the token like wake, and prints its result.
func TestForgetShowsTheToken(t *testing.T) {
	url := servePorter(t, newTwoMachines(), web.Access{Token: "open sesame"})
	for _, tt := range []struct {
		token, out, errs string
	}{
		{"", "", "nightporter: nas was not forgotten: this porter requires a token: give --token-file FILE, or set NIGHTPORTER_HTTP__TOKEN\n"},
		{"another", "", "nightporter: nas was not forgotten: the token is not this porter's http.token: give --token-file FILE, or set NIGHTPORTER_HTTP__TOKEN\n"},
		{"open sesame", "nas is forgotten\n", ""},
		{"open sesame", "", "nightporter: no machine is named \"nas\"; there are: pc\uFFFD\n"},
	} {
		t.Setenv(tokenVariable, tt.token)
		code, out, errs := runCommand(t, "forget", "nas", "--from", url)
		if (code == 0) != (tt.errs == "") || out != tt.out || errs != tt.errs {
			t.Errorf("with %q: exit code %d, %q, %q", tt.token, code, out, errs)
		}
	}
}

func TestNamesAreCompleted(t *testing.T) {
	h := newTwoMachines()
	h.machines = append(h.machines, machine.Status{Spec: machine.Spec{Name: "nursery"}, State: machine.Arriving, Since: testTime})
	url := servePorter(t, h, web.Access{})
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"wake", "--from", url, ""}, "nas\tasleep\nnursery\tarriving\n:4\n"}, // :4 means no files; a name with an escape is omitted
		{[]string{"why", "--from", url, "nu"}, "nursery\tarriving\n:4\n"},
		{[]string{"status", "--from", url, "nu"}, "nursery\tarriving\n:4\n"},
		{[]string{"wake", "--from", url, "nas", ""}, ":4\n"},
		{[]string{"events", "--from", url, "--machine", "na"}, "nas\tasleep\n:4\n"},
		{[]string{"wake", "--from", "http://127.0.0.1:1", ""}, ":1\n"},
	} {
		code, out, _ := runCommand(t, append([]string{"__complete"}, tt.args...)...)
		if code != 0 || out != tt.want {
			t.Errorf("%q: exit code %d, %q, want %q", tt.args, code, out, tt.want)
		}
	}
}

// An error says what was not done, then the porter's reason.
func TestRefusals(t *testing.T) {
	porter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"error": "it is out\u001b"}`)
	}))
	defer porter.Close()
	for line, want := range map[string]string{
		"pause nas --for 1h":           "nas was not paused",
		"resume nas":                   "nas was not resumed",
		"forget nas":                   "nas was not forgotten",
		"wake nas":                     "nas was not woken",
		"wake --mac 02:00:00:00:00:03": "02:00:00:00:00:03 was not woken",
		"status":                       "no status",
		"events":                       "no events",
	} {
		code, out, errs := runCommand(t, append(strings.Fields(line), "--from", porter.URL)...)
		if code != 1 || out != "" || errs != "nightporter: "+want+": it is out\uFFFD\n" {
			t.Errorf("%s: exit code %d, %q, %q", line, code, out, errs)
		}
	}
}

// NIGHTPORTER_FROM names the porter unless --from does. It is no key of the configuration.
func TestFromTheEnvironment(t *testing.T) {
	const elsewhere = "no nightporter answers at 127.0.0.1:2 "
	t.Setenv(fromVariable, "127.0.0.1:1")
	if _, _, errs := runCommand(t, "status"); !strings.Contains(errs, "no nightporter answers at 127.0.0.1:1 ") {
		t.Errorf("by the environment: %q", errs)
	}
	if _, _, errs := runCommand(t, "status", "--from", "127.0.0.1:2"); !strings.Contains(errs, elsewhere) {
		t.Errorf("by the flag: %q", errs)
	}
	if _, code, _, errs := runCheck(t, map[string]string{"config.yaml": "", "environment": ""}); code != 0 {
		t.Errorf("check: exit code %d, %q", code, errs)
	}
	t.Setenv(fromVariable, "ftp://pi")
	if code, _, errs := runCommand(t, "status"); code != 2 || !strings.HasPrefix(errs, `nightporter status: NIGHTPORTER_FROM: found "ftp://pi"`) {
		t.Errorf("a bad one: exit code %d, %q", code, errs)
	}
}
