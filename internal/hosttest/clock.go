package hosttest

import (
	"time"
	"unsafe"
)

// Set returns t as a clock that was set by d in that moment shows it: its reading
// of the wall has moved, its monotonic reading has not. d is cut to seconds. t must
// have both readings, as those of time.Now have, and stay within 1885 and 2157,
// for which package time keeps both.
func Set(t time.Time, d time.Duration) time.Time {
	// The first word of a time.Time with a monotonic reading is a flag, 33 bits of
	// seconds and 30 bits of nanoseconds.
	wall := (*uint64)(unsafe.Pointer(&t))
	*wall += uint64(int64(d/time.Second)) << 30
	return t
}
