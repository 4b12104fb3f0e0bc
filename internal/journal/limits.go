package journal

import (
	"time"
)

const (
	// gather is how long a transition waits for others of the same write. The magic
	// packet is sent before the write.
	gather = 10 * time.Millisecond

	// eventDelay is how long an event that changes no machine waits for the write: a flood
	// of refused registrations must not wear out the disk.
	eventDelay = 5 * time.Second

	// retry is how long after a failed write the next one is tried.
	retry = 5 * time.Second

	// markEvery is how often a mark is written while machines are known and nothing else
	// is written. A crash loses at most this much of a machine's sleep time.
	markEvery = time.Hour

	// minLimit is the length in bytes up to which the file is not rewritten.
	minLimit = 1 << 20
)

const (
	// maxLine bounds a line that is read, in bytes. The bounds of a record (formOf,
	// Event.bound) keep those that are written far below it.
	maxLine = 1 << 20

	// maxRead bounds a file that is read, in bytes. The writer keeps to it.
	maxRead = 256 << 20
)
