package web

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"nightporter/internal/ratelimit"
)

// changeLimit limits how often one source may change something.
type changeLimit struct {
	peers     peers
	limiter   ratelimit.Limiter
	perMinute atomic.Int64 // for the answer
}

func (l *changeLimit) set(perMinute int) {
	l.perMinute.Store(int64(perMinute))
	l.limiter.SetLimit(ratelimit.PerMinute(perMinute))
}

// limit wraps next; requests over the rate get 429 (RFC 6585 section 4). The source is
// the peer of the connection.
func (l *changeLimit) limit(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		source := l.peers.ofRequest(req).source
		wait := l.limiter.Take(source)
		if wait == 0 {
			next(w, req)
			return
		}
		seconds := ratelimit.Seconds(wait)
		w.Header().Set("Retry-After", strconv.Itoa(seconds)) // RFC 9110 section 10.2.3
		writeError(w, http.StatusTooManyRequests, fmt.Sprintf(
			"too many wakes, pauses and forgets from %s: expected at most %d a minute (http.rate), try again in %ds",
			source, l.perMinute.Load(), seconds))
	}
}
