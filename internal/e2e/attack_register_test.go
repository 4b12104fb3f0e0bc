package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/lan"
)

// The tests named TestAttack are what another host on the LAN may try.

var (
	thief4 = netip.MustParseAddr("10.77.0.66")
	thief6 = netip.MustParseAddr("fd77::66")
)

// addThief adds a hostile host with a MAC of its own.
func addThief(h *harness) *lab.Host {
	h.Helper()
	host, err := h.lan.AddHost("thief", netip.PrefixFrom(thief4, 24), netip.PrefixFrom(thief6, 64))
	h.must(err)
	return host
}

// uselessRegistration returns a registration with which nothing wakes the machine.
func uselessRegistration(mac ether.MAC, ip netip.Addr) string {
	b, err := json.Marshal(map[string]any{
		"mac": mac, "name": "nas", "wake_from": []string{"192.0.2.1"}, "monitor": []monitored{{ip, []any{}}},
	})
	if err != nil {
		panic(err) // of constants
	}
	return string(b)
}

// TestAttackForgedRegistration: a host keeps its own MAC. It announces to the porter that its
// own address and that of a sleeping machine are at the machine's MAC: during a registration,
// and in answer to each request of the porter. The registration is refused.
func TestAttackForgedRegistration(t *testing.T) {
	t.Parallel()
	for _, known := range []string{"registered", "configured"} {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(known+"/"+ip.String(), func(t *testing.T) {
				ctx, network := newLANFor(t, 2*time.Minute)
				bare := &harness{TB: t, ctx: ctx, lan: network}
				s := &machineTest{nas: bare.addNAS(nil), conf: fieldProbe}
				if known == "configured" {
					s.conf += fmt.Sprintf("machines: [{name: nas, mac: %q, monitor: [{ip: %q, port: [22]}]}]\n", s.nas.MAC(), ip)
				}
				s.harness = openOn(ctx, t, network, s.conf)
				s.register(s.nas.Host, nasRegistration(s.nas))
				s.waitAsleep(0)
				s.runForgery(addThief(s.harness), ip)
				if len(s.events("nas", journal.Redefined)) > 0 {
					t.Error("the registration of nas has changed")
				}
				s.wantServed(ip)
			})
		}
	}
}

// runForgery sends the forged frames until the porter has decided.
func (s *machineTest) runForgery(thief *lab.Host, ip netip.Addr) {
	s.Helper()
	own := thief4
	if ip.Is6() {
		own = thief6
	}
	porter, n := s.lan.Porter(), s.daemon.Log.Len()
	to := porter.Addr4()
	if ip.Is6() {
		to = porter.Addr6()
	}
	conn, err := thief.Dial(s.ctx, "tcp", netip.AddrPortFrom(to, labdaemon.RegistrationPort).String())
	s.must(err)
	defer conn.Close()
	s.must(thief.Sysctl("net/ipv4/conf/eth0/arp_ignore", "8")) // its kernel answers no ARP request
	text := uselessRegistration(s.nas.MAC(), ip)
	_, err = io.WriteString(conn, text[:len(text)-1])
	s.must(err)
	says := func(frame []byte, err error) {
		s.must(err)
		s.must(thief.SendFrame(frame))
	}
	misled := s.within(10 * time.Second)
	for { // a kernel does not update an entry that is less than a second old
		says(lan.Correction(thief.MAC(), porter.MAC(), s.nas.MAC(), own, to))
		if mac, _, ok, err := porter.Neighbor(own); err == nil && ok && mac == s.nas.MAC() {
			break
		}
		select {
		case <-misled.Done():
			s.Fatal("the porter's kernel has no entry of the thief for nas: the test checks nothing")
		case <-time.After(50 * time.Millisecond):
		}
	}
	_, err = io.WriteString(conn, text[len(text)-1:])
	s.must(err)
	s.repeatUntilDecided(n, func() {
		for _, stated := range []netip.Addr{own, ip} {
			says(lan.Reply(thief.MAC(), porter.MAC(), s.nas.MAC(), stated, to))
		}
	})
}

// repeatUntilDecided calls do each 20 ms until the porter has refused the registration.
func (s *machineTest) repeatUntilDecided(n int, do func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.within(15 * time.Second))
	defer cancel()
	decided := make(chan labdaemon.Entry, 1)
	go func() {
		e, err := s.daemon.Log.Wait(ctx, n, func(e labdaemon.Entry) bool {
			return e.Event() == "registration_refused" || e.Event() == "registration_accepted"
		})
		if err == nil {
			decided <- e
		}
		cancel()
	}()
	for ctx.Err() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	select {
	case e := <-decided:
		if e.Event() != "registration_refused" || !strings.Contains(e.Field("reason"), s.lan.Host("thief").MAC().String()) {
			s.Errorf("the porter: %s %q", e.Event(), e.Field("reason"))
		}
	default:
		s.Error("the porter did not decide")
	}
}

// TestAttackRedefinition: under trust: open no other host redefines a machine that sleeps.
// Another host may repeat the machine's registration, and the machine may change its own.
func TestAttackRedefinition(t *testing.T) {
	h := open(t, fieldProbe+"registration: {trust: open}\n")
	nas, thief := h.addNAS(nil), addThief(h)
	s := &machineTest{harness: h, nas: nas, conf: fieldProbe}
	h.register(nas.Host, nasRegistration(nas))
	s.waitAsleep(0)
	h.wantRefused(thief, uselessRegistration(nas.MAC(), nas4), "monitor", "this machine sleeps, and only "+nas.MAC().String()+" itself may change that")
	h.register(thief, nasRegistration(nas))
	s.wantServed(nas4)
	h.register(nas.Host, registration("nas", nas.MAC(), monitored{nas4, []any{22}}))
	if len(h.events("nas", journal.Redefined)) > 0 {
		t.Error("nas was redefined in its sleep")
	}
}

// TestAttackWithoutTheToken: a machine has a token of its own, from the configuration or from
// its first registration. A registration from its MAC without the token is refused.
func TestAttackWithoutTheToken(t *testing.T) {
	t.Parallel()
	const token = "a secret of nas"
	said := func(nas *lab.Machine, ports []any, token string) string {
		m := map[string]any{"mac": nas.MAC(), "name": "nas", "monitor": []monitored{{nas4, ports}}}
		if token != "" {
			m["token"] = token
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, how := range []string{"configured", "learnt"} {
		t.Run(how, func(t *testing.T) {
			ctx, network := newLANFor(t, time.Minute)
			bare := &harness{TB: t, ctx: ctx, lan: network}
			nas := bare.addNAS(nil)
			conf := fieldProbe
			if how == "configured" {
				conf += "machines: [{name: nas, mac: \"" + nas.MAC().String() + "\", token: \"" + token + "\", monitor: [{ip: 10.77.0.20, port: [22]}]}]\n"
			}
			h := openOn(ctx, t, network, conf)
			h.register(nas.Host, said(nas, []any{22}, token))
			h.wantRefused(nas.Host, said(nas, []any{}, ""), "token: missing")
			h.wantRefused(nas.Host, said(nas, []any{}, "a guess of another"), "token: not the one")
			h.daemon.Kill()
			h.restart(conf)
			h.wantRefused(nas.Host, said(nas, []any{}, ""), "token: missing")
			h.register(nas.Host, said(nas, []any{23}, token))
			if strings.Contains(h.daemon.Log.Text(), token) {
				t.Error("the token is in the log")
			}
		})
	}
}

// TestAttackOnTheRouter: while the router restarts, another host takes one of its other
// addresses and registers it. The router's MAC cannot be registered either.
func TestAttackOnTheRouter(t *testing.T) {
	h := openFor(t, fieldProbe+"watch: {interval: 1s}\n", 4*time.Minute)
	router, thief := h.lan.Router(), addThief(h)
	other := netip.MustParseAddr("10.77.0.201")
	h.must(router.AddAddr(h.ctx, netip.PrefixFrom(other, 24)))
	for _, ip := range []netip.Addr{other, router.Addr4()} {
		h.must(h.lan.Porter().WarmNeighbor(h.ctx, ip))
	}
	h.wantRefused(thief, registration("mine", thief.MAC(), monitored{other, []any{22}}), "a gateway's address")
	h.wantRefused(router, registration("router", router.MAC(), monitored{other, []any{22}}), "a gateway")
	for _, ip := range []string{"fd77::", "fd77::fdff:ffff:ffff:ff80"} {
		h.wantRefused(thief, registration("mine", thief.MAC(), monitored{netip.MustParseAddr(ip), []any{22}}), "anycast")
	}
	h.register(thief, registration("mine", thief.MAC(), monitored{thief4, []any{22}}))
}
