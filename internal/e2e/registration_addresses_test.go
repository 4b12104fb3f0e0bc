package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// TestRegistrationBeyondThePrefixes: a host that forwards IPv6 has only a link-local address,
// because SLAAC is for hosts (RFC 4862 section 5.5). The machine answers a solicitation from
// it, which proves that its global address is on the link.
func TestRegistrationBeyondThePrefixes(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.must(h.lan.Porter().DelAddr(netip.PrefixFrom(h.lan.Porter().Addr6(), 64)))
	h.register(nas.Host, nasRegistration(nas))
	h.must(nas.Sleep(h.ctx))
	h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	if got := h.connect(h.lan.Client(), nas6, 22); got != "nas\n" {
		t.Errorf("the service said %q", got)
	}
}

// TestRegistrationUnclaimableAddress: addresses that cannot be claimed at present do not
// prevent the claim of the others, and the answer comes within 5 s.
func TestRegistrationUnclaimableAddress(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	unused := netip.MustParseAddr("10.77.0.77")
	h.must(h.lan.Porter().Sysctl("net/ipv6/conf/eth0/disable_ipv6", "1"))
	begun := time.Now()
	h.register(nas.Host, registration("nas", nas.MAC(), monitored{nas4, []any{22}}, monitored{nas6, []any{22}}, monitored{unused, []any{22}}))
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	for ip, reason := range map[netip.Addr]string{nas6: "not in a network", unused: "not answered"} {
		e, err := h.daemon.Log.Wait(h.ctx, 0, func(e labdaemon.Entry) bool {
			return e.Field("event") == "address_waiting" && e.Field("ip") == ip.String()
		})
		h.must(err)
		if e.Field("machine") != "nas" || !contains(e.Field("reason"), reason) {
			t.Errorf("%s: logged %q, %q", ip, e.Field("machine"), e.Field("reason"))
		}
	}
	h.must(nas.Sleep(h.ctx))
	h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	if got := h.connect(h.lan.Client(), nas4, 22); got != "nas\n" {
		t.Errorf("the service said %q", got)
	}
}

// TestRegistrationOfAnAddressUnderTest: a machine that registers right after its boot has IPv6
// addresses that it does not answer for yet (RFC 4862 section 5.4).
func TestRegistrationOfAnAddressUnderTest(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.must(nas.DelAddr(netip.PrefixFrom(nas6, 64)))
	tested := make(chan error, 1)
	go func() {
		time.Sleep(1200 * time.Millisecond)
		tested <- nas.AddAddr(h.ctx, netip.PrefixFrom(nas6, 64))
	}()
	h.register(nas.Host, nasRegistration(nas))
	h.must(<-tested)
	if text := h.daemon.Log.Text(); strings.Contains(text, "address_waiting") {
		t.Errorf("an address waits:\n%s", text)
	}
}
