package journal

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"nightporter/internal/hosttest"
)

func TestDiskFull(t *testing.T) {
	m := hosttest.New(t, "64k")
	dir := m.Dir + "/state"
	j, _, l := opened(t, dir)
	j.Append(Record{Memory: memoryOf(0)})
	synced(t, j)
	free := m.Fill()
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
	m := hosttest.New(t, "64k")
	dir := m.Dir + "/state"
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
	m := hosttest.New(t, "64k")
	put(t, m.Dir, append(written(t, 3), `{"sum":`...))
	free := m.Fill()
	j, past, l := opened(t, m.Dir)
	if len(past.Machines) != 3 || len(l.lines("journal_torn")) != 1 || j.Healthy() != nil {
		t.Errorf("%d machines, health %v, log %q", len(past.Machines), j.Healthy(), l.lines(""))
	}
	closed(t, j)
	put(t, m.Dir, append([]byte("x"), written(t, 3)...)) // no longer: it fits
	j, past, _ = opened(t, m.Dir)
	if len(past.Machines) != 3 || past.SetAside == "" || !errors.Is(j.Healthy(), unix.ENOSPC) {
		t.Errorf("%d machines, set aside %q, health %v", len(past.Machines), past.SetAside, j.Healthy())
	}
	free()
	synced(t, j)
	if onDisk(t, m.Dir) != 3 {
		t.Errorf("%d machines, want 3", onDisk(t, m.Dir))
	}
}

func TestReadOnly(t *testing.T) {
	m := hosttest.New(t, "256k")
	for _, content := range [][]byte{written(t, 3), append(written(t, 3), `{"sum":`...), append([]byte("x"), written(t, 3)...)} {
		put(t, m.Dir, content)
		m.ReadOnly(true)
		j, past, l := opened(t, m.Dir)
		if len(past.Machines) != 3 || !errors.Is(j.Healthy(), unix.EROFS) || len(l.lines("cannot write")) != 1 {
			t.Errorf("%d machines, health %v, log %q", len(past.Machines), j.Healthy(), l.lines(""))
		}
		if _, _, err := Open(m.Dir, l.logger()); err == nil {
			t.Error("not locked")
		}
		j.Append(Record{Memory: memoryOf(5)})
		if err := trySync(t, j); !errors.Is(err, unix.EROFS) {
			t.Errorf("sync: %v", err)
		}
		m.ReadOnly(false)
		synced(t, j)
		closed(t, j)
		if onDisk(t, m.Dir) != 4 {
			t.Errorf("%d machines, want 4", onDisk(t, m.Dir))
		}
		if left, err := (&folder{path: m.Dir}).named(fileName, ".bad"); err != nil || (len(left) == 1) != (content[0] == 'x') {
			t.Errorf("set aside are %q, error %v", left, err)
		}
	}
	m.ReadOnly(true)
	if _, _, err := Open(m.Dir+"/new", (&logged{}).logger()); err == nil {
		t.Error("a directory was made on a read-only file system")
	}
}
