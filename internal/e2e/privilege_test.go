package e2e

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/cli"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// unprivileged is the uid of the overflow user, which every host has.
const unprivileged = 65534

// unprivilegedUser returns the name of that user.
func unprivilegedUser(t testing.TB) string {
	t.Helper()
	u, err := user.LookupId(strconv.Itoa(unprivileged))
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// openUnprivileged starts a daemon that becomes the unprivileged user. The state directory
// belongs to that user, and only root can read the configuration file.
func openUnprivileged(t *testing.T, conf string) *harness {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chown(dir, unprivileged, unprivileged); err != nil {
		t.Skip("needs root, and the user 65534 in its user namespace:", err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // the directory of the test, which the user must enter
		t.Fatal(err)
	}
	ctx, lan := newLAN(t)
	return openAs(ctx, t, lan, unprivilegedUser(t), dir, conf)
}

// privileges are fields of a thread in /proc/PID/status.
type privileges map[string]string

// daemonPrivileges returns the privileges of a daemon with that uid and gid.
func daemonPrivileges(id int) privileges {
	four := strings.TrimSpace(strings.Repeat(fmt.Sprint(id, " "), 4))
	const two = "0000000000003000" // CAP_NET_ADMIN is 12, CAP_NET_RAW 13
	const none = "0000000000000000"
	return privileges{"Uid": four, "Gid": four, "CapInh": none, "CapPrm": two, "CapEff": two, "CapBnd": two, "CapAmb": none, "NoNewPrivs": "1"}
}

// wantEveryThread compares the privileges of each thread of the daemon.
func wantEveryThread(h *harness, want privileges) {
	h.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", h.daemon.Pid()))
	h.must(err)
	if len(files) < 3 {
		h.Errorf("%d threads, too few to prove anything", len(files))
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue // it has ended
		}
		h.must(err)
		got := privileges{}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(line, ":")
			if _, ok := want[name]; ok {
				got[name] = strings.Join(strings.Fields(value), " ")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			h.Fatalf("%s (-want +got)\n%s", file, diff)
		}
	}
}

// TestUnprivilegedDaemon: a daemon that root started and that became unprivileged claims,
// answers, guards, wakes, hands over and remembers as any other, also on a port
// that only root could open.
func TestUnprivilegedDaemon(t *testing.T) {
	conf := fastProbe + "claim: {guard: on}\nhttp: {listen: [':9717', ':80']}\n"
	h := openUnprivileged(t, conf)
	want := daemonPrivileges(unprivileged)
	want["Groups"] = ""
	wantEveryThread(h, want)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	for _, ip := range []netip.Addr{nas4, nas6} {
		h.wantNeighbor(h.lan.Client(), ip, h.lan.Porter().MAC())
		// The guard holds an address before the porter answers for it.
		if rules := ruleset(h)[guardTable]; !strings.Contains(rules, hex.EncodeToString(ip.AsSlice())) {
			t.Errorf("the guard does not hold %v:\n%s", ip, rules)
		}
	}
	h.connect(h.lan.Client(), nas4, 22)
	h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
	if magicPackets(nas) == nil {
		t.Error("no magic packet")
	}
	if fds := h.metric(`process_open_fds`); fds < 5 {
		t.Errorf("%v open files: the process cannot look at itself", fds)
	}
	h.putToSleep(nas)
	h.waitStored("asleep", 2)
	for _, name := range []string{"", "journal.jsonl"} {
		info, err := os.Stat(filepath.Join(h.daemon.Dir(), name))
		h.must(err)
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != unprivileged {
			t.Errorf("%q of the state directory belongs to %d", name, uid)
		}
	}
	wantEveryThread(h, want) // also threads that started meanwhile

	h.daemon.Kill()
	h.restart(conf)
	h.waitReclaimed("nas")
	h.connect(h.lan.Client(), nas6, 22)
	code, err := h.daemon.Stop(h.within(10 * time.Second))
	if code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	if rules, ok := ruleset(h)[guardTable]; ok {
		t.Errorf("the guard stays behind:\n%s", rules)
	}
}

// TestUnprivilegedReload: a file that the user cannot read is reported at the
// start, and changes nothing; one that it may read is taken over.
func TestUnprivilegedReload(t *testing.T) {
	h := openUnprivileged(t, fastProbe)
	file := filepath.Join(h.daemon.Dir(), "config.yaml")
	warned, err := h.daemon.Log.Wait(h.within(5*time.Second), 0, func(e labdaemon.Entry) bool { return strings.HasPrefix(e.Message, "SIGHUP cannot reload") })
	h.must(err)
	if got, want := warned.Field("try"), fmt.Sprintf("chgrp %d %s; chmod 640 %[2]s", unprivileged, file); got != want {
		t.Errorf("the remedy is %q, want %q", got, want)
	}
	refused := h.reload(fastProbe, "configuration not reloaded, keeping the old one")
	if said := refused.Field("err"); !contains(said, file, "permission denied") {
		t.Errorf("said %q", said)
	}
	h.must(os.Chown(file, 0, unprivileged))
	h.must(os.Chmod(file, 0o640))
	h.reload(fastProbe, "configuration reloaded")
}

// TestRootGivesUpTheRest: a daemon that stays root keeps only the two capabilities that it
// needs.
func TestRootGivesUpTheRest(t *testing.T) {
	h := open(t, fastProbe)
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	wantEveryThread(h, daemonPrivileges(0))
}

// TestUnprivilegedStart: a daemon that cannot become its user ends, and names the key and the
// remedy.
func TestUnprivilegedStart(t *testing.T) {
	t.Parallel()
	_, lan := newLAN(t)
	dir := t.TempDir()
	theirs := filepath.Join(dir, "theirs")
	if err := os.Mkdir(theirs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(theirs, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "secret.yaml")
	if err := os.WriteFile(secret, []byte("registration: {token: hunter2hunter2}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		args    []string
		foreign string // a directory that is to be the unprivileged user's
		want    []string
	}{
		{"unknown user", []string{"--user", "no such user"}, "", []string{"user:", `"no such user"`, "--user"}},
		{"readable token", []string{"--config", secret}, "", []string{"registration.token", secret, "0644", "chmod o-rwx"}},
		{"state of root's", []string{"--user", unprivilegedUser(t), "--state_dir", theirs}, "", []string{"state_dir", theirs, "belongs to root", "chown -R 65534:"}},
		{"state of another user", []string{"--user", "root", "--state_dir", dir}, dir, []string{"state_dir", dir, "belongs to " + unprivilegedUser(t), "chown -R 0:0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.foreign != "" {
				if err := os.Chown(c.foreign, unprivileged, unprivileged); err != nil {
					t.Skip("needs root, and the user 65534 in its user namespace:", err)
				}
			}
			h := &harness{TB: t, ctx: t.Context(), lan: lan}
			out, err := h.runOn(lan.Porter(), append([]string{"serve"}, c.args...)...)
			if err == nil || !contains(out, c.want...) || strings.Contains(out, "hunter2") {
				t.Errorf("%v, said %q, want %q", err, out, c.want)
			}
		})
	}
	for _, args := range [][]string{{"--user", "no such user"}, {"--config", secret}} {
		var stdout, stderr bytes.Buffer
		code := cli.Run(t.Context(), slices.Concat([]string{"check"}, args), &stdout, &stderr)
		if code != 1 || !contains(stderr.String(), args[1]) {
			t.Errorf("check %q: exit code %d\n%s%s", args, code, stdout.String(), stderr.String())
		}
	}
}
