package journal

import (
	"errors"
	"fmt"
	"io"
)

// writer writes the file. One goroutine uses it at a time.
type writer struct {
	disk  disk
	file  file  // nil if the present file cannot be appended to
	size  int64 // of the part that is durable, in bytes
	least int64 // what limit is at least
	limit int64 // how long it may get before it is written anew, in bytes
	most  int64 // how long it may ever be, in bytes: no longer one is read
}

// resume opens the present file to append after its first size bytes. If torn, it
// truncates the file there.
func (w *writer) resume(size int64, torn bool) error {
	f, err := w.disk.open()
	if err != nil {
		return err
	}
	if torn {
		err = f.Truncate(size)
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("cut off an unfinished line: %w", err), f.Close())
		}
	}
	w.file, w.size = f, size
	w.limit = w.longest(w.least)
	return nil
}

// append writes whole lines durably. After an error the file is as long as before, or
// closed.
func (w *writer) append(lines []byte) error {
	n, err := w.file.Write(lines)
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	if err != nil {
		// Half a line would spoil the next one.
		if cutErr := w.file.Truncate(w.size); cutErr != nil {
			return errors.Join(err, cutErr, w.close())
		}
		return err
	}
	if err := w.file.Sync(); err != nil {
		// The kernel may have dropped the data and reports the error only once
		// (fsync(2), EIO), so this file is not used any more.
		return errors.Join(err, w.file.Truncate(w.size), w.close())
	}
	w.size += int64(len(lines))
	return nil
}

// replace puts a new file with this content in the place of the present one.
func (w *writer) replace(content []byte) error {
	if n := int64(len(content)); n > w.most {
		return fmt.Errorf("the journal would be %d bytes long: expected at most %d", n, w.most)
	}
	f, err := w.disk.replace(content)
	if err != nil {
		if errors.Is(err, errUnlinked) {
			err = errors.Join(err, w.close())
		}
		return err
	}
	// All that the former file holds is durable, so closing it cannot fail to
	// save anything.
	_ = w.close()
	w.file, w.size = f, int64(len(content))
	w.limit = w.longest(max(w.least, 2*w.size))
	return nil
}

// longest returns how long the file may get: no longer than wanted or than is
// read, and while that leaves room for a new one beside it.
func (w *writer) longest(wanted int64) int64 {
	wanted = min(wanted, w.most)
	if half := w.size/2 + w.disk.room()/2; half > 2*w.size {
		return min(wanted, half)
	}
	return wanted
}

// close closes the file.
func (w *writer) close() error {
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	return f.Close()
}
