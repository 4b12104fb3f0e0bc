package journal

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// tmpfs is a file system of its own that nobody else sees: it is mounted nowhere,
// and reached through its descriptor.
type tmpfs struct {
	fd  int
	dir string
}

func newTmpfs(t *testing.T, size string) *tmpfs {
	t.Helper()
	m := &tmpfs{fd: -1}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: its mount namespace ends with it
		done <- m.make(size)
	}()
	switch err := <-done; {
	case errors.Is(err, unix.EPERM) && os.Getenv("CI") == "":
		t.Skip("needs root for a file system:", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(m.fd) })
	m.dir = fmt.Sprintf("/proc/self/fd/%d", m.fd)
	return m
}

func (m *tmpfs) make(size string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open a tmpfs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "size", size); err != nil {
		return fmt.Errorf("set the size: %w", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return fmt.Errorf("create the tmpfs: %w", err)
	}
	m.fd, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("mount the tmpfs: %w", err)
	}
	return nil
}

// readOnly makes it so, or ends that.
func (m *tmpfs) readOnly(t *testing.T, on bool) {
	t.Helper()
	attr := unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	if on {
		attr = unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	}
	if err := unix.MountSetattr(m.fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		t.Fatal("make the tmpfs read-only or not:", err)
	}
}

// fill takes all the space there is, and returns how to give it back.
func (m *tmpfs) fill(t *testing.T) (free func()) {
	t.Helper()
	f, err := os.Create(m.dir + "/ballast")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(f.Name()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiskFull(t *testing.T) {
	m := newTmpfs(t, "64k")
	dir := m.dir + "/state"
	j, _, l := opened(t, dir)
	j.Append(Record{Memory: memoryOf(0)})
	synced(t, j)
	free := m.fill(t)
	// The page that the file has begun still has room.
	durable, n := 0, 0
	for failures := 0; failures < 5; {
		n++
		j.Append(Record{Event: Event{Kind: Registered}, Memory: memoryOf(n)})
		switch err := trySync(t, j); {
		case err == nil && failures > 0:
			t.Fatal("acknowledged on a full disk")
		case err == nil:
			durable = n
		case errors.Is(err, unix.ENOSPC):
			failures++
		default:
			t.Fatal(err)
		}
		if n > 100 {
			t.Fatal("the disk does not get full")
		}
	}
	if got := onDisk(t, dir); got != durable+1 {
		t.Errorf("%d machines are there, want the %d that were acknowledged", got, durable+1)
	}
	if err := j.Healthy(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("health: %v", err)
	}
	free()
	synced(t, j)
	if got := onDisk(t, dir); got != n+1 {
		t.Errorf("%d machines after there was room, want %d", got, n+1)
	}
	if told := l.lines("level="); len(told) != 2 || j.Healthy() != nil {
		t.Errorf("health %v, log %q; want one line for each change", j.Healthy(), told)
	}
}

// A disk that is full of our own old lines is one that can be tidied.
func TestDiskFullOfHistory(t *testing.T) {
	m := newTmpfs(t, "64k")
	dir := m.dir + "/state"
	j, _, _ := opened(t, dir)
	for i := range 300 {
		mem := memoryOf(1)
		mem.Tally.Attempts = uint64(i)
		j.Append(Record{Memory: mem})
		synced(t, j)
	}
	closed(t, j)
	_, past, _ := opened(t, dir)
	if len(past.Machines) != 1 || past.Machines[0].Tally.Attempts != 299 {
		t.Errorf("past: %+v", past)
	}
}

func TestOpenOnFullDisk(t *testing.T) {
	m := newTmpfs(t, "64k")
	put(t, m.dir, append(written(t, 3), `{"sum":`...))
	free := m.fill(t)
	j, past, l := opened(t, m.dir)
	if len(past.Machines) != 3 || len(l.lines("cut off")) != 1 || j.Healthy() != nil {
		t.Errorf("%d machines, health %v, log %q", len(past.Machines), j.Healthy(), l.lines(""))
	}
	closed(t, j)
	put(t, m.dir, append([]byte("x"), written(t, 3)...)) // no longer: it fits
	j, past, _ = opened(t, m.dir)
	if len(past.Machines) != 3 || past.SetAside == "" || !errors.Is(j.Healthy(), unix.ENOSPC) {
		t.Errorf("%d machines, set aside %q, health %v", len(past.Machines), past.SetAside, j.Healthy())
	}
	free()
	synced(t, j)
	if onDisk(t, m.dir) != 3 {
		t.Errorf("%d machines, want 3", onDisk(t, m.dir))
	}
}

func TestReadOnly(t *testing.T) {
	m := newTmpfs(t, "256k")
	for _, content := range [][]byte{written(t, 3), append(written(t, 3), `{"sum":`...), append([]byte("x"), written(t, 3)...)} {
		put(t, m.dir, content)
		m.readOnly(t, true)
		j, past, l := opened(t, m.dir)
		if len(past.Machines) != 3 || !errors.Is(j.Healthy(), unix.EROFS) || len(l.lines("cannot write")) != 1 {
			t.Errorf("%d machines, health %v, log %q", len(past.Machines), j.Healthy(), l.lines(""))
		}
		if _, _, err := Open(m.dir, l.logger()); err == nil {
			t.Error("not locked")
		}
		j.Append(Record{Memory: memoryOf(5)})
		if err := trySync(t, j); !errors.Is(err, unix.EROFS) {
			t.Errorf("sync: %v", err)
		}
		m.readOnly(t, false)
		synced(t, j)
		closed(t, j)
		if onDisk(t, m.dir) != 4 {
			t.Errorf("%d machines, want 4", onDisk(t, m.dir))
		}
		if left, err := (&folder{path: m.dir}).named(fileName, ".bad"); err != nil || (len(left) == 1) != (content[0] == 'x') {
			t.Errorf("set aside are %q, error %v", left, err)
		}
	}
	m.readOnly(t, true)
	if _, _, err := Open(m.dir+"/new", (&logged{}).logger()); err == nil {
		t.Error("a directory was made on a read-only file system")
	}
}
