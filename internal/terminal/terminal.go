// Package terminal tells whether an output is a terminal, and whether to color it.
package terminal

import (
	"io"
	"os"
)

// Is reports whether w is a character device.
func Is(w io.Writer) bool {
	f, isFile := w.(*os.File)
	if !isFile {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Color reports whether to write colors to w (no-color.org).
func Color(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && Is(w)
}
