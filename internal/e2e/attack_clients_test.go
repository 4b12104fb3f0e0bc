package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

// attacker is an unprivileged program on one host of the LAN. It uses plain TCP sockets and all
// addresses of the host's network card.
type attacker struct {
	*lab.Host
	from  []netip.Addr
	tried atomic.Int64
}

// family is the format of an attacker's addresses.
type family string

const (
	ip4 family = "10.77.0.%d/24"
	ip6 family = "fd77::bad:%x/64"
)

// addAttacker adds the n-th attacker, with a number of addresses.
func addAttacker(h *harness, n, addresses int, f family) *attacker {
	h.Helper()
	a := new(attacker)
	var prefixes []netip.Prefix
	for i := range addresses {
		p := netip.MustParsePrefix(fmt.Sprintf(string(f), 100+n*addresses+i))
		prefixes, a.from = append(prefixes, p), append(a.from, p.Addr())
	}
	host, err := h.lan.AddHost(fmt.Sprintf("attacker%d", n), prefixes...)
	h.must(err)
	a.Host = host
	return a
}

// abuse is what an attacker does with one connection, until ctx ends.
type abuse func(ctx context.Context, a *attacker, conn net.Conn)

// unused is an address that no host has.
var unused = netip.MustParseAddr("10.77.0.250")

var abuses = map[string]abuse{
	"silent": func(_ context.Context, _ *attacker, conn net.Conn) {
		_, _ = io.Copy(io.Discard, conn)
	},
	"garbage": func(ctx context.Context, _ *attacker, conn net.Conn) {
		_, _ = io.WriteString(conn, "x")
		_, _ = io.Copy(io.Discard, conn)
		pause(ctx, 200*time.Millisecond) // the server waits for the end of the connection
	},
	"for an address that no host has": func(_ context.Context, a *attacker, conn net.Conn) {
		_, _ = io.WriteString(conn, registration(a.Name(), a.MAC(), monitored{unused, []any{22}}))
		_, _ = io.Copy(io.Discard, conn)
	},
	"slow": func(ctx context.Context, a *attacker, conn net.Conn) {
		for _, data := range registration(a.Name(), a.MAC(), monitored{unused, []any{22}}) {
			if _, err := fmt.Fprintf(conn, "%c", data); err != nil {
				return
			}
			pause(ctx, 100*time.Millisecond)
		}
	},
}

// attack opens connections to the registration in a number of threads, one after another in
// each, until ctx ends.
func (a *attacker) attack(ctx context.Context, threads int, to netip.Addr, what ...abuse) {
	var all sync.WaitGroup
	for i := range threads {
		all.Go(func() {
			for ctx.Err() == nil {
				a.connect(ctx, a.from[i%len(a.from)], to, what[i%len(what)])
				pause(ctx, time.Millisecond)
			}
		})
	}
	all.Wait()
}

func (a *attacker) connect(ctx context.Context, from, to netip.Addr, what abuse) {
	conn, err := a.DialFrom(ctx, "tcp", from, netip.AddrPortFrom(to, labdaemon.RegistrationPort).String())
	if err != nil {
		return
	}
	a.tried.Add(1)
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	what(ctx, a, conn)
}

// registrant is a legitimate host, and how it registers.
type registrant struct {
	*lab.Host
	fresh bool // it is removed before each registration
	with  func(h *harness, r *registrant, i int) (answer string, err error)
}

func (r *registrant) body() string {
	return registration(r.Name(), r.MAC(), monitored{r.Addr4(), []any{22}}, monitored{r.Addr6(), []any{22}})
}

// registerAsWakupator registers as Wakupator's client does: without a name, with numbers for
// ports, and with one read for the answer.
func registerAsWakupator(h *harness, r *registrant, i int) (string, error) {
	conn, err := r.Dial(h.within(10*time.Second), "tcp", registrationAddr(h, i))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(conn, `{"mac": %q, "monitor": [{"ip": %q, "port": [22, 25565]}, {"ip": %q, "port": [22]}]}`, r.MAC(), r.Addr4(), r.Addr6())
	if err != nil {
		return "", err
	}
	answer := make([]byte, 1024)
	n, err := conn.Read(answer)
	return string(answer[:n]), err
}

// registerOnce registers with one connection and one attempt.
func registerOnce(h *harness, r *registrant, i int) (string, error) {
	to := porterAddrByTurns(h, i)
	return h.daemon.RegisterIn(h.within(10*time.Second), r.Host, to, []string{r.body()}, 0)
}

func registerByProgram(h *harness, r *registrant, i int) (string, error) {
	return r.run(h, os.Args[0], "register", "--to", registrationAddr(h, i), "--port", "22", "--name", r.Name())
}

func registerByScript(h *harness, r *registrant, i int) (string, error) {
	return r.run(h, "python3", "../../deploy/machine/nightporter-register.py", "--to", registrationAddr(h, i), "--port", "22", "--name", r.Name())
}

// run runs a program on the host and returns what it printed.
func (r *registrant) run(h *harness, name string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := r.Command(h.within(20*time.Second), name, args...)
	cmd.Env = append(os.Environ(), programEnv...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := r.Start(cmd); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

func registrationAddr(h *harness, i int) string {
	return netip.AddrPortFrom(porterAddrByTurns(h, i), labdaemon.RegistrationPort).String()
}

// porterAddrByTurns returns the porter's IPv4 address and its IPv6 address in turn.
func porterAddrByTurns(h *harness, i int) netip.Addr {
	if i%2 == 0 {
		return h.lan.Porter().Addr4()
	}
	return h.lan.Porter().Addr6()
}

// addRegistrants adds the legitimate hosts.
func addRegistrants(h *harness) []*registrant {
	h.Helper()
	all := []*registrant{{with: registerAsWakupator}, {with: registerOnce}, {with: registerOnce, fresh: true}, {with: registerByProgram}, {with: registerByProgram, fresh: true}, {with: registerByScript, fresh: true}}
	for i, r := range all {
		var err error
		r.Host, err = h.lan.AddHost(fmt.Sprintf("good%d", i),
			netip.MustParsePrefix(fmt.Sprintf("10.77.0.%d/24", 60+i)), netip.MustParsePrefix(fmt.Sprintf("fd77::60%d/64", i)))
		h.must(err)
		if !r.fresh && r.registerTimes(h, 1) != 1 {
			h.Fatal("a host does not register although all is calm")
		}
	}
	return all
}

// prepareRegistrants adds the legitimate hosts, and a machine that has been woken once. calm is
// the result of measureDelay for that machine.
func prepareRegistrants(h *harness) (good []*registrant, nas *lab.Machine, calm time.Duration) {
	h.Helper()
	good, nas = addRegistrants(h), h.addNAS(nil)
	h.register(nas.Host, nasRegistration(nas))
	return good, nas, measureDelay(h, nas)
}

// registerTimes registers n times, and returns how many were accepted.
func (r *registrant) registerTimes(h *harness, n int) (accepted int) {
	for i := range n {
		if r.fresh { // the machine may be unknown
			_, _, _ = h.daemon.Delete(h.within(10*time.Second), "/api/v1/machines/"+r.Name())
		}
		answer, err := r.with(h, r, i)
		if err == nil && (strings.TrimSpace(answer) == "OK." || strings.HasPrefix(answer, "registered ")) {
			accepted++
		} else {
			h.Logf("%s, try %d: %q, %v", r.Name(), i, answer, err)
		}
	}
	return accepted
}

// runAttack runs f during an attack, which lasts 10 s at least, or a minute with -soak.
func runAttack(h *harness, attackers []*attacker, threads int, what []abuse, f func()) {
	h.Helper()
	ctx, calm := context.WithCancel(h.ctx)
	var all sync.WaitGroup
	defer func() {
		calm()
		all.Wait()
	}()
	for _, a := range attackers {
		to := h.lan.Porter().Addr6()
		if a.from[0].Is4() {
			to = h.lan.Porter().Addr4()
		}
		all.Go(func() { a.attack(ctx, threads, to, what...) })
	}
	began := time.Now()
	pause(h.ctx, 2*time.Second) // the attackers open all connections that they can
	f()
	pause(h.ctx, time.Until(began.Add(time.Duration(soak(10, 60))*time.Second)))
	for _, a := range attackers {
		if a.tried.Load() < 20 {
			h.Errorf("%s made %d connections: that is no attack", a.Name(), a.tried.Load())
		}
		h.Logf("%s made %d connections in %v", a.Name(), a.tried.Load(), time.Since(began).Round(time.Second))
	}
}

// wantAllRegistered expects that 20 of 20 registrations of each host are accepted. Meanwhile a
// machine registers once, sleeps, and is woken by its first client as soon as without an
// attack.
func wantAllRegistered(h *harness, good []*registrant, nas *lab.Machine, calm time.Duration) {
	h.Helper()
	var all sync.WaitGroup
	defer all.Wait()
	for _, r := range good {
		all.Go(func() {
			if n := r.registerTimes(h, 20); n != 20 {
				h.Errorf("%s: %d of 20 registrations accepted", r.Name(), n)
			}
		})
	}
	if answer, err := h.daemon.Register(h.within(10*time.Second), nas.Host, nasRegistration(nas)); err != nil || answer != "OK." {
		h.Errorf("nas: %q, %v", answer, err)
		return
	}
	wantNoLater(h, nas, calm)
}

// wantFewRefusalLines expects that the log has few lines about refused registrations.
func wantFewRefusalLines(h *harness) {
	h.Helper()
	lines := 0
	for _, e := range h.daemon.Log.Entries(0) {
		switch e.Event() {
		case "registration_refused", "accept_failed":
			lines++
		}
	}
	if lines > 40 {
		h.Errorf("%d lines about refusals", lines)
	}
}
