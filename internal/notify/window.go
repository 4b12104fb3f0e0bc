package notify

import "time"

// span is what a rate is about.
const span = time.Hour

// window allows so many messages in any hour.
type window struct {
	rate int
	sent []time.Time // within the last hour, oldest first
}

// take reports whether a message may go out now, and counts it.
func (w *window) take(now time.Time) bool {
	w.expire(now)
	if len(w.sent) >= w.rate {
		return false
	}
	w.sent = append(w.sent, now)
	return true
}

func (w *window) expire(now time.Time) {
	for len(w.sent) > 0 && now.Sub(w.sent[0]) >= span {
		w.sent = w.sent[1:]
	}
}

// opens returns when the next message may go out. The rate may have fallen since
// the last ones did.
func (w *window) opens() time.Time {
	if len(w.sent) < w.rate {
		return time.Time{}
	}
	return w.sent[len(w.sent)-w.rate].Add(span)
}
