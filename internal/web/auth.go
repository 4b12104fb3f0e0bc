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

// TokenHeader carries the token where Authorization carries a password, or where a
// proxy removes Authorization.
const TokenHeader = "X-Nightporter-Token"

// Access configures which requests may change machines.
type Access struct {
	Token string   // required in a request; empty: no token is required
	Hosts []string // host names allowed for browser requests, besides those of authorizer.local
}

// authorizer refuses changes from clients without the token and from other sites.
type authorizer struct {
	own    string // the name of this host; may be empty
	access atomic.Pointer[accessRule]
}

// accessRule is an Access in the form in which requests are compared with it.
type accessRule struct {
	required bool              // a token
	token    [sha256.Size]byte // SHA-256, so that the time of the comparison does not depend on the token's length
	hosts    []string
}

func newAuthorizer() *authorizer {
	own, err := os.Hostname()
	if err != nil {
		own = "" // only addresses and the names in Hosts are then allowed
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

// requireToken wraps next; a request without the configured token gets 401.
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

// shownToken returns the token of a request, if it has one. TokenHeader precedes
// Authorization, which may hold a password for the toolkit or a proxy.
func shownToken(r *http.Request) (string, bool) {
	if own := r.Header.Get(TokenHeader); own != "" {
		return own, true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimLeft(token, " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != "" // RFC 9110 section 11.1
}

// rejectRebinding wraps next; changes from pages of other sites get 403. With DNS
// rebinding, another site's name resolves to our address, so that a browser treats its
// requests as same-origin. The Host header has that name, so it must be one that no
// other site can have. Requests that do not come from a browser pass.
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

// changes reports whether a method is not safe (RFC 9110 section 9.2.1).
func changes(method string) bool {
	return !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, method)
}

// fromBrowser reports whether a request with an unsafe method comes from a browser.
// Browsers send Origin with it (Fetch standard, "`Origin` header"), and Sec-Fetch-Site
// over TLS and to localhost.
func fromBrowser(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
}

func (a *authorizer) trusts(r *http.Request) bool {
	rule := a.access.Load()
	// No other site knows the token, or has a certificate for its name and our key.
	return rule.required || r.TLS != nil || a.local(r.Host) || slices.Contains(rule.hosts, hostOf(r.Host))
}

// local reports whether the public DNS cannot resolve the host of a Host header: an
// address, a name of one label, a name in a domain for local networks, or the name of
// this host.
func (a *authorizer) local(host string) bool {
	name := hostOf(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	if name == "" || name == a.own || !strings.Contains(name, ".") {
		return name != ""
	}
	// RFC 6762 section 3 (local), RFC 8375 (home.arpa), RFC 6761 section 6.3
	// (localhost). ICANN does not delegate internal and home (resolutions of 2024 and
	// 2018). Many routers use lan.
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
