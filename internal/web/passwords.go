package web

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"nightporter/internal/ratelimit"
)

// Limits on wrong passwords. Each costs the time of a bcrypt, which is made to be
// long, and which the toolkit computes one at a time.
const (
	wrongBurst    = 10
	wrongEvery    = 6 * time.Second // of one source
	allWrongBurst = 20
	allWrongEvery = 2 * time.Second
	maxKnown      = 256 // right ones that are remembered
)

// passwords rations wrong passwords before the toolkit compares them. One that was
// right before needs no turn, and no ration is charged for it.
type passwords struct {
	peers peers
	log   *slog.Logger
	turns *turns // to be compared
	wrong *ratelimit.Limiter
	all   *rate.Limiter // wrong ones of all sources

	mu    sync.Mutex
	known map[[sha256.Size]byte]struct{} // hashes of Authorization that was right
}

func newPasswords(p peers, log *slog.Logger) *passwords {
	return &passwords{
		peers: p, log: log, turns: newTurns(1, 1),
		wrong: ratelimit.New(rate.Every(wrongEvery), wrongBurst),
		all:   rate.NewLimiter(rate.Every(allWrongEvery), allWrongBurst),
		known: make(map[[sha256.Size]byte]struct{}),
	}
}

// login is a request whose password is being compared.
type login struct {
	right func()
}

// loginKey is the key of a request's *login in its context.
type loginKey struct{}

// before is next, the toolkit's handler, for clients that have not shown too many
// wrong passwords, and status 429 for others. The toolkit hands a request with the
// right password to what within returns.
func (p *passwords) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source := p.peers.ofRequest(r).source
		hash := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		end := func() {}
		if _, _, shown := r.BasicAuth(); shown && !p.knows(hash) {
			var ok bool
			if end, ok = p.turn(w, r, source); !ok {
				return
			}
		}
		end = sync.OnceFunc(end)
		defer end()
		right := false
		w.Header().Set("Connection", "close") // after a 401: the next guess takes a connection of its own
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), loginKey{}, &login{right: func() {
			right = true
			w.Header().Del("Connection")
			p.remember(hash)
			end()
		}})))
		// Without a password nothing was compared. Other refusals are the toolkit's own.
		if _, _, shown := r.BasicAuth(); shown && !right && w.Header().Get("WWW-Authenticate") != "" {
			p.charge(hash, source)
		}
	})
}

// within is next, for requests that the toolkit let in.
func within(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l, ok := r.Context().Value(loginKey{}).(*login); ok {
			l.right()
		}
		next.ServeHTTP(w, r)
	})
}

// turn waits until a password of source may be compared, or answers that it may
// not.
func (p *passwords) turn(w http.ResponseWriter, r *http.Request, source ratelimit.Source) (end func(), ok bool) {
	ctx, cancel := context.WithTimeout(r.Context(), renderTimeout)
	defer cancel()
	end, err := p.turns.take(ctx, source)
	wait := renderTimeout
	if err == nil {
		// Within a turn nothing else is charged, so that it is enough to look.
		wait = p.wrong.Wait(source)
		if wait == 0 && p.all.Tokens() < 1 {
			wait = allWrongEvery
		}
		if wait == 0 {
			return end, true
		}
		end()
	}
	w.Header().Set("Connection", "close")
	w.Header().Set("Retry-After", strconv.Itoa(ratelimit.Seconds(wait)))
	text(w, http.StatusTooManyRequests, "too many wrong passwords: try again later")
	return nil, false
}

// charge notes a wrong password.
func (p *passwords) charge(hash [sha256.Size]byte, source ratelimit.Source) {
	p.mu.Lock()
	delete(p.known, hash) // the file may have another one now
	p.mu.Unlock()
	p.wrong.Take(source)
	p.all.Allow()
	p.log.Warn("wrong password", "event", "password_wrong", "source", source.String())
}

func (p *passwords) knows(hash [sha256.Size]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.known[hash]
	return ok
}

func (p *passwords) remember(hash [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= maxKnown {
		for old := range p.known { // any one: to be compared again costs little
			delete(p.known, old)
			break
		}
	}
	p.known[hash] = struct{}{}
}
