package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// TokenHeader carries the token where Authorization carries a password already,
// or a proxy keeps that for itself.
const TokenHeader = "X-Nightporter-Token"

// Access says who may wake and forget machines.
type Access struct {
	Token string   // what a request has to carry; empty: nothing
	Hosts []string // names by which a browser's pages may ask, beside those of authorizer.local
}

// gate keeps out those who may look but not change anything.
type authorizer struct {
	own    string // the name of this host; may be empty
	access atomic.Pointer[accessRule]
}

// accessRule is an Access, ready to be compared with.
type accessRule struct {
	required bool              // for a token
	token    [sha256.Size]byte // its hash: of hashes not even the length shows in the time it takes to compare
	hosts    []string
}

func newAuthorizer() *authorizer {
	own, err := os.Hostname()
	if err != nil {
		own = "" // then pages are found by addresses and the names in Hosts
	}
	return &authorizer{own: hostOf(own)}
}

func (a *authorizer) set(access Access) {
	rule := &accessRule{required: access.Token != "", token: sha256.Sum256([]byte(access.Token))}
	for _, h := range access.Hosts {
		rule.hosts = append(rule.hosts, hostOf(h))
	}
	a.access.Store(rule)
}

// of is next for whoever shows the token, and status 401 for others.
func (a *authorizer) requireToken(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rule := a.access.Load()
		if !rule.required {
			next(w, r)
			return
		}
		shown, there := shownToken(r)
		hash := sha256.Sum256([]byte(shown))
		if there && subtle.ConstantTimeCompare(hash[:], rule.token[:]) == 1 {
			next(w, r)
			return
		}
		message := "wrong token (http.token)"
		if !there {
			message = "token required (http.token): expected Authorization: Bearer TOKEN, or " + TokenHeader + ": TOKEN"
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="nightporter"`) // RFC 6750 section 3
		writeError(w, http.StatusUnauthorized, message)
	}
}

// shownToken returns the token that a request carries, if it does. Our own header
// goes first: the other may hold a password, for the toolkit or a proxy.
func shownToken(r *http.Request) (string, bool) {
	if own := r.Header.Get(TokenHeader); own != "" {
		return own, true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimLeft(token, " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != "" // RFC 9110 section 11.1
}

// rejectRebinding keeps out pages of other sites that had their own name resolve
// to our address (DNS rebinding): to a browser their requests are of one origin.
// Their name is in the Host header, so that has to be one that nobody else can
// have resolved. Programs that are no browsers are not concerned.
func (a *authorizer) rejectRebinding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if changes(r.Method) && fromBrowser(r) && !a.trusts(r) {
			writeError(w, http.StatusForbidden, "host "+strconv.Quote(r.Host)+
				" is not allowed for browser requests: expected an address, a local name of this host, or one of http.hosts")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// changes reports whether a method may change anything (RFC 9110 section 9.2.1).
func changes(method string) bool {
	return !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, method)
}

// fromBrowser reports whether a request that changes something comes from a page.
// Every browser sends Origin with it (the Fetch standard, "`Origin` header"), and over
// TLS and to this host Sec-Fetch-Site.
func fromBrowser(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
}

func (a *authorizer) trusts(r *http.Request) bool {
	rule := a.access.Load()
	// No other site knows the token, or has a certificate for its name and our key.
	return rule.required || r.TLS != nil || a.local(r.Host) || slices.Contains(rule.hosts, hostOf(r.Host))
}

// local reports whether the host of a Host header is one that the public DNS does
// not resolve: an address, a name of one label, one below a domain that is kept
// for local networks, or this host's own.
func (a *authorizer) local(host string) bool {
	name := hostOf(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	if name == "" || name == a.own || !strings.Contains(name, ".") {
		return name != ""
	}
	// RFC 6762 section 3 (local), RFC 8375 (home.arpa), RFC 6761 section 6.3
	// (localhost); internal and home will never be delegated by ICANN (resolutions of
	// 2024 and 2018), lan is what many routers use.
	for _, domain := range [...]string{".local", ".home.arpa", ".localhost", ".internal", ".home", ".lan"} {
		if strings.HasSuffix(name, domain) {
			return true
		}
	}
	return false
}

// hostOf returns the host of a Host header without its port, brackets and final
// dot, in lower case.
func hostOf(s string) string {
	return strings.ToLower(strings.TrimSuffix((&url.URL{Host: s}).Hostname(), "."))
}
