package notify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/notifyconf"

	"github.com/google/go-cmp/cmp"
	"github.com/nicholas-fedor/shoutrrr/pkg/router"
)

// parse reads a URL with its service.
func parse(raw string) (notifyconf.Target, error) { return notifyconf.Parse(raw, ReadURL) }

// A service that is new in the library must be added by hand: whether its URLs have a key in the
// place of the host, and whether it sends packets when it is set up.
func TestServicesAreTheLibrarys(t *testing.T) {
	offered := slices.DeleteFunc(new(router.ServiceRouter).ListServices(), func(s string) bool { return s == "logger" })
	slices.Sort(offered)
	if d := cmp.Diff(slices.Sorted(maps.Keys(notifyconf.Services())), offered); d != "" {
		t.Errorf("-known +offered:\n%s", d)
	}
}

// A target shows its service and host, and no secret.
func TestTargetIsShownWithoutSecrets(t *testing.T) {
	for raw, want := range map[string]string{
		"ntfy://me:secret@ntfy.example:8443/secret?title=secret":                    "ntfy://ntfy.example:8443",
		"gotify://192.0.2.1/sub/Asecretsecret12":                                    "gotify://192.0.2.1",
		"generic://host/secret?@Authorization=secret":                               "generic://host",
		"generic+http://me:secret@[::1]:80/secret":                                  "generic://[::1]:80",
		"smtp://me:secret@mail.example:587/?from=a@example.org&to=b@example.org":    "smtp://mail.example:587",
		"smtp://me:0/secret@mail.example:587/?from=a@example.org&to=b@example.org":  "smtp",
		"telegram://123:secret_secret_secret_secret_secret_@telegram?chats=@secret": "telegram",
		"pushbullet://secretsecretsecretsecretsecretsecr":                           "pushbullet",
		"pushover://shoutrrr:secret@secretuser/":                                    "pushover",
		"discord://secret@secret":                                                   "discord",
		"wecom://secret":                                                            "wecom",
		"ifttt://secret/?events=secret":                                             "ifttt",
		"matrix://me:secret@127.0.0.1:1/?rooms=!secret:host":                        "matrix://127.0.0.1:1",
	} {
		target, err := parse(raw)
		if err != nil {
			if want != "smtp" || !strings.Contains(raw, "0/secret") { // the library may refuse this one
				t.Errorf("%s: %v", raw, err)
			}
			if target, err = notifyconf.Parse(raw, nil); err != nil {
				t.Fatal(err)
			}
		}
		if target.URL() != raw {
			t.Errorf("%s: the URL is %s", raw, target.URL())
		}
		if got := target.String(); got != want {
			t.Errorf("%s is shown as %s, want %s", raw, got, want)
		}
		all := fmt.Sprintf("%v %+v %#v %s %v %s", target, target, target, target, []notifyconf.Target{target}, target.Masked())
		if strings.Contains(all+target.LogValue().String(), "secret") {
			t.Errorf("%s: the secret is shown in %s", raw, all)
		}
		if _, err := parse(target.Masked()); err == nil {
			t.Errorf("%s: what is printed, %s, is taken for the URL", raw, target.Masked())
		}
	}
}

// FuzzParse: a URL is refused in words that do not repeat it, or is a target whose
// masked form is refused. Nothing is sent, and nothing panics.
func FuzzParse(f *testing.F) {
	for name := range notifyconf.Services() {
		f.Add(name + "://user:pass@host:1/a/b/c?title=x")
		f.Add(name + "+https://host/?%zz")
		f.Add(name + "://%zz")
	}
	f.Add("NTFY://host/topic")
	f.Add("generic+https://host/?template=json&$a=b&@c=d")
	f.Add("://")
	f.Fuzz(func(t *testing.T, raw string) {
		target, err := parse(raw)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "expected ") || target != (notifyconf.Target{}) {
				t.Fatalf("%q: target %v, error %v", raw, target, err)
			}
			return
		}
		if _, err := parse(target.Masked()); err == nil {
			t.Fatalf("%q: %q is taken for a URL", raw, target.Masked())
		}
		again, err := parse(target.URL())
		if err != nil || again != target {
			t.Fatalf("%q: read again it is %v, error %v", raw, again, err)
		}
	})
}
