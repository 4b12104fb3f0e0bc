package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestAttackWeb: one host with one, eight or 64 addresses makes all attacks on the HTTP port at
// once. Prometheus, the health check on the porter's own host, the page and the event streams
// keep working, and the log stays short.
func TestAttackWeb(t *testing.T) {
	onlyVariants(t)
	for _, n := range []int{1, 8, 64} {
		for _, v6 := range []bool{false, true} {
			if !*soakFlag && v6 != (n == 8) {
				continue
			}
			t.Run(fmt.Sprintf("%d addresses, IPv6 %t", n, v6), func(t *testing.T) {
				ctx, lan := newLANFor(t, 20*time.Minute) // not parallel: it takes the whole computer
				h := openOn(ctx, t, lan, fastProbe)
				s := addWebAttacker(h, n, v6)
				runWebAttacks(h, s, webClient{scheme: "http"}, plainAttacks())
			})
		}
	}
}

// TestAttackSecuredWeb is TestAttackWeb for a porter with TLS and passwords.
func TestAttackSecuredWeb(t *testing.T) {
	onlyVariants(t)
	for _, n := range []int{1, 8, 64} {
		if !*soakFlag && n == 8 {
			continue
		}
		t.Run(fmt.Sprintf("%d addresses", n), func(t *testing.T) {
			ctx, lan := newLANFor(t, 20*time.Minute)
			dir := t.TempDir()
			h := openSecured(ctx, t, lan, dir)
			s := addWebAttacker(h, n, n == 8)
			runWebAttacks(h, s, webClient{scheme: "https", user: "anna", password: "open sesame"}, securedAttacks())
		})
	}
}

// runWebAttacks checks what other clients see of an attack by s: with -soak of each attack
// alone, and of all at once.
func runWebAttacks(h *harness, s *webAttacker, v webClient, all []webAttack) {
	h.Helper()
	nas := h.addNAS(nil)
	h.register(nas.Host, nasRegistration(nas))
	calm := measureDelay(h, nas)
	against := func(i int, name string, all []webAttack) {
		runWebAttack(h, s, v, name, all, h.addClient("another "+name, 80+i), func() { wantNoLater(h, nas, calm) })
	}
	if *soakFlag {
		for i, a := range all {
			against(i+1, a.name, []webAttack{a})
		}
	}
	against(0, "all", all)
}

// runWebAttack makes an attack for some seconds. Meanwhile it requests pages, registers a new
// host and calls more.
func runWebAttack(h *harness, s *webAttacker, v webClient, name string, all []webAttack, newcomer *lab.Host, more func()) {
	h.Helper()
	other, local := v, v
	other.host, other.via = h.lan.Client(), netip.AddrPortFrom(h.lan.Porter().Addr4(), labdaemon.HTTPPort)
	local.host, local.via = h.lan.Porter(), netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", labdaemon.HTTPPort))
	stream, end := followEvents(h, other)
	defer end()
	rss, _ := daemonMemory(h)
	lines := strings.Count(h.daemon.Log.Text(), "\n")
	attacking, stop := context.WithCancel(h.ctx)
	defer stop()
	ended := make(chan int64, 1)
	go func() { ended <- s.run(attacking, all) }()
	pauseOrFail(h, 2*time.Second) // until the attacker has all its connections
	const times = 20
	var slowest time.Duration
	began, failed, during := time.Now(), 0, rss
	for i := 0; i < times && failed < 6; i++ {
		for _, q := range []struct {
			v          webClient
			path, part string
		}{{other, "/metrics", "nightporter_guard_active"}, {local, "/-/healthy", "healthy"}, {other, "/", "<main"}} {
			took, err := q.v.get(h.ctx, q.path, q.part)
			if slowest = max(slowest, took); err != nil {
				failed++
				h.Errorf("%s: %s for %s, time %d of %d: %v", name, q.path, q.v.host.Name(), i+1, times, err)
			}
		}
		now, _ := daemonMemory(h)
		during = max(during, now)
		pauseOrFail(h, time.Until(began.Add(time.Duration((i+1)*soak(10, 60))*time.Second/times)))
	}
	more()
	h.register(newcomer, registration("told of "+name, newcomer.MAC(), monitored{newcomer.Addr4(), []any{22}}))
	wantStreamed(h, stream, "told of "+name)
	resp, err := other.request(h.within(5*time.Second), http.MethodPost, "/api/v1/machines/"+url.PathEscape("told of "+name)+"/wake")
	h.must(err)
	if resp.Body.Close(); resp.StatusCode != http.StatusAccepted {
		h.Errorf("%s: a wake that another host asks for: status %d, want 202", name, resp.StatusCode)
	}
	other.host = newcomer
	_, endOther := followEvents(h, other)
	defer endOther()
	stop()
	dials := <-ended
	grown := strings.Count(h.daemon.Log.Text(), "\n") - lines
	h.Logf("%s: %d connections; the slowest answer to others took %v; %d lines of log; resident %d MiB at most, before %d",
		name, dials, slowest.Round(time.Millisecond), grown, during>>20, rss>>20)
	if grown >= 100 {
		h.Errorf("%s: the log has grown by %d lines", name, grown)
	}
	if during > rss+64<<20+int(dials)*raceConnectionMemory {
		h.Errorf("%s: the daemon has grown from %d to %d MiB", name, rss>>20, during>>20)
	}
}

// openSecured starts a daemon with TLS and the user anna.
func openSecured(ctx context.Context, t testing.TB, lan *lab.LAN, dir string) *harness {
	t.Helper()
	cert, key := selfSigned(t)
	hash, err := bcrypt.GenerateFromPassword([]byte("open sesame"), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "web.yml")
	for name, text := range map[string]string{
		filepath.Join(dir, "cert.pem"): cert, filepath.Join(dir, "key.pem"): key,
		file: fmt.Sprintf("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {anna: %q}\n", hash),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := labdaemon.Start(ctx, lan, dir, labdaemon.Options{
		Exe: os.Args[0], Env: programEnv, Config: fastProbe + "http: {web_config: " + file + "}\n",
		Scheme: "https", Login: url.UserPassword("anna", "open sesame"),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{TB: t, ctx: ctx, lan: lan, daemon: d}
	h.killAtEnd(d)
	return h
}

// selfSigned returns a certificate and its key, as PEM.
func selfSigned(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", secret)
}
