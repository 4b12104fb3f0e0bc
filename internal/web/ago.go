package web

import "time"

// Ago says how long before now t was, in the words of the page.
func Ago(t, now time.Time) string { return momentOf(t, now).Ago }
