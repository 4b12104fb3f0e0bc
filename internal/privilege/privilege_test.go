package privilege

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// nobodyID is a user of every host.
const nobodyID = 65534

// needRoot skips the test unless the process can become another user.
func needRoot(t *testing.T) {
	t.Helper()
	if err := os.Chown(t.TempDir(), nobodyID, nobodyID); err != nil {
		t.Skip("needs root, and the user 65534 in its user namespace:", err)
	}
}

// secret returns a file that is root's alone, in a directory open to all.
func secret(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "secret")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The sets as /proc/PID/status writes them.
const (
	none    = "0000000000000000"
	working = "0000000000003000"
	opening = "0000000000003400"
)

func everyThread(t *testing.T, what string, got []identity, atLeast int, want identity) {
	t.Helper()
	if len(got) < atLeast {
		t.Errorf("%s: %d threads, want at least %d", what, len(got), atLeast)
	}
	for i, id := range got {
		if diff := cmp.Diff(want, id); diff != "" {
			t.Fatalf("%s: thread %d (-want +got)\n%s", what, i, diff)
		}
	}
}

func TestRootBecomesNobody(t *testing.T) {
	needRoot(t)
	// In a group beside its own, which it has to leave.
	start := &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{0, 4, 27}}}
	out, said := perform(t, task{User: "nobody", Secret: secret(t)}, start)
	if said != "" {
		t.Fatal(said)
	}
	const four = "65534 65534 65534 65534"
	want := identity{Uid: four, Gid: four, CapInh: none, CapPrm: opening, CapEff: opening, CapBnd: working, CapAmb: none, NoNewPrivs: "1"}
	everyThread(t, "opening", out.Entered, 20, want)
	want.CapPrm, want.CapEff = working, working
	everyThread(t, "working", out.Kept, 30, want)
	for what, said := range map[string]string{"becoming root again": out.Setuid, "CAP_SETPCAP": out.Raise} {
		if said != unix.EPERM.Error() {
			t.Errorf("%s: %s, want %v", what, said, unix.EPERM)
		}
	}
	if !strings.HasSuffix(out.Open, "permission denied") {
		t.Errorf("a file of root's alone: %s", out.Open)
	}
}

// A root that stays root is one in name: it has no right that its files do not
// give it.
func TestRootStaysRoot(t *testing.T) {
	needRoot(t)
	foreign := secret(t)
	if err := os.Chown(foreign, nobodyID, nobodyID); err != nil {
		t.Fatal(err)
	}
	out, said := perform(t, task{User: "root", Secret: foreign}, &syscall.SysProcAttr{Credential: &syscall.Credential{}})
	if said != "" {
		t.Fatal(said)
	}
	const four = "0 0 0 0"
	want := identity{Uid: four, Gid: four, CapInh: none, CapPrm: opening, CapEff: opening, CapBnd: working, CapAmb: none, NoNewPrivs: "1"}
	everyThread(t, "opening", out.Entered, 20, want)
	want.CapPrm, want.CapEff = working, working
	everyThread(t, "working", out.Kept, 30, want)
	if !strings.HasSuffix(out.Open, "permission denied") {
		t.Errorf("a file of another user: %s", out.Open)
	}
}

// An attacker who has taken over a daemon that was started as root, and was given no
// user, finds no root: what is root's own stays out of reach, where a root without capabilities
// could change it.
func TestAttackAfterAStartAsRoot(t *testing.T) {
	needRoot(t)
	u, err := Find("")
	if err != nil {
		t.Fatal(err)
	}
	if u.UID == 0 {
		t.Fatalf("a root would become %+v", u)
	}
	out, said := perform(t, task{Secret: secret(t)}, &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{0, 4, 27}}})
	if said != "" {
		t.Fatal(said)
	}
	want := identity{Uid: four(u.UID), Gid: four(u.GID), CapInh: none, CapPrm: working, CapEff: working, CapBnd: working, CapAmb: none, NoNewPrivs: "1"}
	everyThread(t, "working", out.Kept, 30, want)
	if out.Setuid != unix.EPERM.Error() || !strings.HasSuffix(out.Open, "permission denied") {
		t.Errorf("becoming root again: %s; a file of root's alone: %s", out.Setuid, out.Open)
	}
}

func four(id int) string { return strings.TrimSpace(strings.Repeat(fmt.Sprint(id, " "), 4)) }

// A root that can become no other user stays, rather than not start: in a user
// namespace that has no other one, and in a container without the capabilities.
func TestRootThatCannotChange(t *testing.T) {
	needRoot(t)
	alone := []syscall.SysProcIDMap{{Size: 1}}
	for name, c := range map[string]struct {
		do    task
		start *syscall.SysProcAttr
	}{
		"user namespace": {task{Secret: secret(t)}, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: alone, GidMappings: alone}},
		"container":      {task{Secret: secret(t), Poor: true}, &syscall.SysProcAttr{}},
	} {
		out, said := perform(t, c.do, c.start)
		if said != "" {
			t.Errorf("%s: %s", name, said)
			continue
		}
		for _, id := range out.Kept {
			if id.Uid != four(0) || id.CapEff != working {
				t.Errorf("%s: uid %s, capabilities %s, want root's and %s", name, id.Uid, id.CapEff, working)
			}
		}
	}
}

// An ordinary user gives up what it was given beyond need. Its bounding set it
// cannot change.
func TestOrdinaryUser(t *testing.T) {
	needRoot(t)
	credential := &syscall.Credential{Uid: nobodyID, Gid: nobodyID, Groups: []uint32{nobodyID}}
	const four = "65534 65534 65534 65534"
	for _, tt := range []struct {
		name          string
		ambient       []uintptr
		entered, kept string
	}{
		{"more than enough", []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_ADMIN, unix.CAP_SYS_TIME, unix.CAP_DAC_OVERRIDE}, working, working},
		{"for low ports as well", []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE}, opening, working},
		{"nothing", nil, none, none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := &syscall.SysProcAttr{Credential: credential, AmbientCaps: tt.ambient}
			out, said := perform(t, task{User: "nobody", Secret: secret(t)}, start)
			if said != "" {
				t.Fatal(said)
			}
			want := identity{Uid: four, Gid: four, Groups: "65534", CapInh: none, CapPrm: tt.entered, CapEff: tt.entered, CapAmb: none, NoNewPrivs: "1"}
			want.CapBnd = out.Entered[0].CapBnd
			everyThread(t, "opening", out.Entered, 20, want)
			want.CapPrm, want.CapEff = tt.kept, tt.kept
			everyThread(t, "working", out.Kept, 30, want)
		})
	}
	_, said := perform(t, task{User: "root"}, &syscall.SysProcAttr{Credential: credential})
	if want := `found "root", expected none or "nobody": only root can become another user`; !strings.Contains(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}

func TestFind(t *testing.T) {
	u, err := Find("nobody")
	if want := (User{"nobody", nobodyID, nobodyID}); err != nil || u.UID != want.UID || u.Name != want.Name {
		t.Errorf("got %+v, %v, want %+v", u, err, want)
	}
	if u, err := Find(""); err != nil || os.Geteuid() != 0 && (u.UID != os.Geteuid() || u.GID != os.Getegid()) || u.Name == "" {
		t.Errorf("got %+v, %v", u, err)
	}
	for name, want := range map[string]string{
		"no such user":           `found "no such user", expected the name of a user of this host`,
		"0":                      `found "0", expected the name of a user of this host`,
		strings.Repeat("a", 256): "found a name of 256 bytes, expected at most 255",
	} {
		if _, err := Find(name); err == nil || err.Error() != want {
			t.Errorf("error differs\n got: %v\nwant: %s", err, want)
		}
	}
}

func TestSetNames(t *testing.T) {
	for set, want := range map[Set]string{
		0:                   "none",
		Working:             "CAP_NET_ADMIN CAP_NET_RAW",
		Opening:             "CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_NET_RAW",
		1 | 1<<unix.CAP_BPF: "capability 0 capability 39",
	} {
		if got := set.String(); got != want {
			t.Errorf("%#x: %q, want %q", uint64(set), got, want)
		}
	}
}
