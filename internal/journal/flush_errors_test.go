package journal

import (
	"errors"
	"sync"
	"testing"
)

// trouble is a disk that fails on demand, over a real one.
type trouble struct {
	disk
	mu sync.Mutex
	faults
}

type faults struct {
	openErr, replaceErr, writeErr, cutErr error
	syncErr                               error
	half                                  bool // a failing write writes half
	writes, syncs, replaces               int
}

func (d *trouble) set(change func(*trouble)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *trouble) counts() faults {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.faults
}

func (d *trouble) open() (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.openErr != nil {
		return nil, d.openErr
	}
	f, err := d.disk.open()
	return &troubled{f, d}, err
}

func (d *trouble) replace(content []byte) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replaces++
	if d.replaceErr != nil && !errors.Is(d.replaceErr, errUnlinked) {
		return nil, d.replaceErr
	}
	f, err := d.disk.replace(content)
	if err == nil && d.replaceErr != nil {
		return nil, errors.Join(d.replaceErr, f.Close())
	}
	return &troubled{f, d}, err
}

type troubled struct {
	file
	d *trouble
}

func (f *troubled) Write(p []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.writes++
	if f.d.writeErr == nil && !f.d.half {
		return f.file.Write(p)
	}
	n := 0
	if f.d.half {
		n, _ = f.file.Write(p[:len(p)/2])
	}
	return n, f.d.writeErr
}

func (f *troubled) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.syncs++
	return errors.Join(f.d.syncErr, f.file.Sync())
}

func (f *troubled) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.cutErr != nil {
		return f.d.cutErr
	}
	return f.file.Truncate(size)
}

// openedOn opens the journal in dir over a disk that can fail.
func openedOn(t *testing.T, dir string, limit int64, d *trouble) (*Journal, *logged) {
	t.Helper()
	l := &logged{}
	folder, err := openFolder(dir, l.logger())
	if err != nil {
		t.Fatal(err)
	}
	d.disk = folder
	j, _, err := open(folder, d, limit, hostClock(), l.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, l
}

// onDisk says which machines a start would find, however the file looks.
func onDisk(t *testing.T, dir string) int {
	t.Helper()
	c, err := (&folder{path: dir, most: maxRead}).read()
	if err != nil {
		t.Fatal(err)
	}
	if c.fault != nil {
		t.Fatal("the file is unfit:", c.fault)
	}
	return len(c.machines)
}

var errDisk = errors.New("no luck")
