package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/registration"
)

// confFile writes a file of settings and returns its path.
func confFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "register.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The command reads the file of the script like the script. Flags override it.
func TestRegisterReadsTheScriptsSettings(t *testing.T) {
	addr, requests := serveRegistrations(t, nil)
	conf := confFile(t, "# ours\n[other]\nmac = nothing\n[register]\nto = 192.0.2.1\nName: tower\nmac = d8:cb:8a:39:be:a1\ntoken = 100%s3cret\n"+
		"wake_mac = d8:cb:8a:39:be:a2\nidle-watts = 40\nsleep_watts = 1.5\npassword = 1.2.3.4\nwake_from = 10.0.0.0/8, fd00::/8\n"+
		"timeout = 7.5\nretries = 0\nport = 80\nmonitor =\n  192.168.1.5=22/tcp,53\n# between\n\n  fd00::5=\n")
	if out, err := runRegister(t, "--config", conf, "--to", addr, "--sleep-watts", "1"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r := <-requests
	if r.Name != "tower" || r.Token != "100%s3cret" || r.WakeMAC.String() != "d8:cb:8a:39:be:a2" || r.IdleWatts != 40 || r.SleepWatts != 1 ||
		len(r.WakeFrom) != 2 || len(r.Password) != 4 || len(r.Monitor) != 2 || len(r.Monitor[0].Ports) != 3 || len(r.Monitor[1].Ports) != 0 {
		t.Errorf("the porter received %+v", r)
	}
	if _, err := runRegister(t, "--config", conf, "--to", addr, "--monitor", "192.168.1.6=443/tcp", "--token", "other"); err != nil {
		t.Fatal(err)
	}
	if r := <-requests; len(r.Monitor) != 1 || r.Monitor[0].IP.String() != "192.168.1.6" || r.Token != "other" {
		t.Errorf("with flags the porter received %+v", r)
	}
}

// The command accepts the example file of the script.
func TestRegisterTakesTheExample(t *testing.T) {
	addr, requests := serveRegistrations(t, &registration.Acceptable{Name: "tower"})
	if out, err := runRegister(t, "--config", "../../deploy/machine/register.conf.example", "--to", addr, "--mac", "d8:cb:8a:39:be:a1", "--monitor", "10.0.0.5=22", "--check"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	<-requests
}

// An error in the file names the line and is no usage error.
func TestRegisterConfIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"[register]\nto = localhost\nport = 22\n":                                             `line 2: to: found "localhost", which is this host itself`,
		"[register]\nto = 127.0.0.1:1\nmac = d8:cb:8a:39:be:a1\nmonitor = 192.0.2.7=22,foo\n": `line 4: monitor: found "foo": expected 1 to 65535`,
	} {
		conf := confFile(t, text)
		if code, _, errs := runCommand(t, "register", "--config", conf); code != 1 || !strings.HasPrefix(errs, "nightporter: "+conf+": "+want) {
			t.Errorf("%s: exit code %d, %q, want %q", text, code, errs, want)
		}
	}
}

func TestRegisterConfErrors(t *testing.T) {
	for text, want := range map[string]string{
		"[register]\nto = a\nprot = 22\n":        `line 3: unknown key "prot": did you mean port?`,
		"[register]\nto = a\n\ntimeout = soon\n": `line 4: timeout: found "soon", expected a time with its unit, such as 10s or 2m`,
		"[register]\nidle_watts = many\n":        `line 2: idle_watts: found "many", expected a number`,
		"[register]\nretries = 1.5\n":            `line 2: retries: found "1.5", expected a whole number`,
		"to = a\n":                               "line 1: expected [register] before the first setting",
		"[register]\nto = a\nto = b\n":           "line 3: to: found twice, expected once",
		"[register]\nto\n":                       "line 2: expected KEY = VALUE",
	} {
		path := confFile(t, text)
		if out, err := runRegister(t, "--config", path); err == nil || err.Error() != path+": "+want {
			t.Errorf("%q: %v, printed %q, want %s", text, err, out, want)
		}
	}
}

// Settings that were read are the same when they are written and read again.
func FuzzRegisterConf(f *testing.F) {
	f.Add("[register]\nto = a\nmonitor =\n  1.2.3.4=22\n fd00::1=\n; no\nname: b:c = d\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseRegisterConf(text)
		if err != nil {
			return
		}
		var again strings.Builder
		again.WriteString("[register]\n")
		for _, s := range all {
			again.WriteString(s.key + " = " + strings.ReplaceAll(s.value, "\n", "\n  ") + "\n")
		}
		read, err := parseRegisterConf(again.String())
		same := func(a, b confSetting) bool { return a.key == b.key && a.value == b.value }
		if err != nil || !slices.EqualFunc(all, read, same) {
			t.Errorf("%q was read as %v, and again as %v, %v", text, all, read, err)
		}
	})
}
