package e2e

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
	"nightporter/internal/privilege"
)

// contained in the environment names a file that the program executes as a container engine
// does for a user other than root: with a bounding set only.
const contained = "TEST_CONTAINED"

// containSelf executes the file.
func containSelf(file string) error {
	runtime.LockOSThread() // these are attributes of the thread, until it executes the program
	if err := os.Unsetenv(contained); err != nil {
		return err
	}
	for n := uintptr(0); n <= unix.CAP_LAST_CAP; n++ {
		if n == unix.CAP_NET_RAW || n == unix.CAP_NET_ADMIN {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, n, 0, 0, 0); err != nil {
			return err
		}
	}
	const id = privilege.Unused
	for _, call := range [][4]uintptr{{unix.SYS_SETGROUPS}, {unix.SYS_SETRESGID, id, id, id}, {unix.SYS_SETRESUID, id, id, id}} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	return unix.Exec(file, append([]string{file}, os.Args[1:]...), os.Environ())
}

// permitted copies the program to a file that permits two capabilities, as `setcap
// cap_net_raw,cap_net_admin=p` does (struct vfs_cap_data of linux/capability.h).
func permitted(t *testing.T, dir string) string {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "nightporter")
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	var data [20]byte
	binary.LittleEndian.PutUint32(data[0:], 2<<24) // VFS_CAP_REVISION_2, and no effective bit
	binary.LittleEndian.PutUint32(data[4:], 1<<unix.CAP_NET_RAW|1<<unix.CAP_NET_ADMIN)
	if err := unix.Setxattr(path, "security.capability", data[:], 0); err != nil {
		cannotRun(t, "not tested: files here can have no capabilities:", err)
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil || stat.Flags&unix.ST_NOSUID != 0 {
		cannotRun(t, "not tested: the capabilities of files mean nothing here:", err)
	}
	return path
}

// TestAsInTheContainer: the daemon works with the privileges of the image: a user other than
// root, and the capabilities that both the program's file and the container permit.
func TestAsInTheContainer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chown(dir, privilege.Unused, privilege.Unused); err != nil {
		cannotRun(t, "needs root, and other users in its user namespace:", err)
	}
	ctx, lan := newLAN(t)
	h := &harness{TB: t, ctx: ctx, lan: lan}
	h.must(os.Chmod(filepath.Dir(dir), 0o711)) // the directory of the test, which the user must enter
	conf := filepath.Join(dir, "config.yaml")
	h.must(os.WriteFile(conf, nil, 0o600))
	h.must(os.Chown(conf, privilege.Unused, privilege.Unused))
	program := permitted(t, dir)
	d, err := labdaemon.Start(ctx, lan, dir, labdaemon.Options{
		Exe: os.Args[0], Env: append([]string{contained + "=" + program}, programEnv...), User: `""`, Config: fastProbe + "claim: {guard: on}\n"})
	h.must(err)
	h.daemon = d
	h.killAtEnd(d)
	want := daemonPrivileges(privilege.Unused)
	want["Groups"] = ""
	wantEveryThread(h, want)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	h.connect(lan.Client(), nas4, 22)
	h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
	h.reload(fastProbe, "configuration reloaded")
	var out bytes.Buffer
	check := lan.Porter().Command(h.within(20*time.Second), os.Args[0], "check", "--host", "--config", conf)
	check.Env = append(append(os.Environ(), programEnv...), contained+"="+program)
	check.Stdout, check.Stderr = &out, &out
	h.must(lan.Porter().Start(check))
	if err := check.Wait(); err != nil || strings.Contains(out.String(), "not permitted") {
		t.Errorf("check --host: %v\n%s", err, &out)
	}
	if code, err := h.daemon.Stop(h.within(10 * time.Second)); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	if text := h.daemon.Log.Text(); strings.Contains(text, "runs_as_root") || strings.Contains(text, "reload_impossible") {
		t.Error("it warns of its user")
	}
}
