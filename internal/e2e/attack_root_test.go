package e2e

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
	"nightporter/internal/privilege"
)

// rootDaemon is a harness whose daemon is started as root with a separate state directory. The
// configuration stays root's when the state directory changes its owner.
type rootDaemon struct {
	*harness
	state string
}

// start starts the daemon, or replaces it. user is YAML.
func (r *rootDaemon) start(user string) {
	r.Helper()
	d, err := labdaemon.Start(r.ctx, r.lan, filepath.Dir(r.state), labdaemon.Options{
		Exe: os.Args[0], Env: append([]string{"NIGHTPORTER_STATE_DIR=" + r.state}, programEnv...), User: user, Config: fastProbe})
	r.must(err)
	r.daemon = d
	r.killAtEnd(d)
}

// warned reports whether the log has the warning about a daemon that runs as root.
func (r *rootDaemon) warned() bool {
	return strings.Contains(r.daemon.Log.Text(), `"event":"runs_as_root"`)
}

// TestAttackUpgradeFromRoot: a daemon that root starts without a configured user becomes
// unprivileged, also where the version before ran as root. Its state continues and belongs to
// the new user. Only user: root keeps root, with a warning.
func TestAttackUpgradeFromRoot(t *testing.T) {
	t.Parallel()
	if err := os.Chown(t.TempDir(), unprivileged, unprivileged); err != nil {
		cannotRun(t, "needs root, and the user 65534 in its user namespace:", err)
	}
	user, err := privilege.Find("")
	if err != nil || user.UID == 0 {
		t.Fatalf("a root would become %+v, %v", user, err)
	}
	ctx, lan := newLAN(t)
	r := &rootDaemon{harness: &harness{TB: t, ctx: ctx, lan: lan}, state: filepath.Join(t.TempDir(), "state")}
	r.must(os.Chmod(filepath.Dir(filepath.Dir(r.state)), 0o711)) // the directory of the test, which the daemon's user must enter
	r.start("root")
	wantEveryThread(r.harness, daemonPrivileges(0))
	if !r.warned() {
		t.Error("no warning of a daemon that runs as root")
	}
	nas := r.addNAS(nil)
	r.putToSleep(nas)
	if code, err := r.daemon.Stop(r.within(10 * time.Second)); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v", code, err)
	}

	r.start(`""`)
	want := daemonPrivileges(user.UID)
	want["Groups"] = ""
	wantEveryThread(r.harness, want)
	if r.warned() {
		t.Error("it warns that it runs as root")
	}
	r.waitReclaimed("nas")
	r.connect(lan.Client(), nas4, 22)
	r.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
	for _, name := range []string{"", "journal.jsonl"} {
		info, err := os.Stat(filepath.Join(r.state, name))
		r.must(err)
		if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != user.UID {
			t.Errorf("%q of the state directory belongs to %d, want %d", name, uid, user.UID)
		}
	}
}

// TestAttackWithoutNetworkRights: a daemon that changes nothing in the host's network has
// CAP_NET_RAW alone, and works. An attacker who controls it cannot change the network either.
func TestAttackWithoutNetworkRights(t *testing.T) {
	h := open(t, fastProbe+"claim: {guard: off}\n")
	want := daemonPrivileges(os.Geteuid())
	delete(want, "Gid")
	want["CapPrm"], want["CapEff"] = "0000000000002000", "0000000000002000"
	wantEveryThread(h, want)
	nas := h.addNAS(nil)
	for _, ip := range []netip.Addr{nas4, nas6} {
		n := h.daemon.Log.Len()
		h.putToSleep(nas)
		h.connect(h.lan.Client(), ip, 22)
		h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	}
	wantEveryThread(h, want)
}
