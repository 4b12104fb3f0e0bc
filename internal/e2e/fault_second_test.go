package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// secondClients are what a second client did before it connects. It has no neighbor entry for
// the machine afterwards.
var secondClients = []struct {
	name          string
	before, boots func(*machineTest, *lab.Host, netip.Addr)
}{
	{"used the LAN", func(s *machineTest, host *lab.Host, _ netip.Addr) { s.must(resolveRouter(s.ctx, s.harness, host)) }, nil},
	{"asked in the sleep", func(s *machineTest, host *lab.Host, ip netip.Addr) { s.resolveAndForget(host, ip) }, nil},
	{"knocked in the boot", nil, func(s *machineTest, host *lab.Host, ip netip.Addr) {
		s.startConnecting(host, ip, 22).cancelAfter(300 * time.Millisecond)
		s.must(host.ForgetNeighbor(ip))
	}},
}

// resolveAndForget lets a host resolve a claimed address, and removes its neighbor entry.
func (s *machineTest) resolveAndForget(host *lab.Host, ip netip.Addr) {
	s.Helper()
	s.wantNeighbor(host, ip, s.lan.Porter().MAC())
	s.must(host.ForgetNeighbor(ip))
}

// TestFieldSecondClient: a second client connects while the machine has its network and not yet
// its service. The machine's kernel would refuse it at once.
func TestFieldSecondClient(t *testing.T) {
	t.Parallel()
	for _, in := range settings {
		for _, is := range secondClients {
			for _, ip := range []netip.Addr{nas4, nas6} {
				for _, announce := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%v/announce=%t", in.name, is.name, ip, announce), func(t *testing.T) {
						first := is.name == secondClients[0].name
						variantUnless(t, in.name == "registered" && (first || announce == (ip == nas4)) || in.forwards && first && announce && ip == nas4)
						s := openMachineIn(t, in, fieldProbe, slowService(announce))
						second := s.addClient("second", 30)
						s.sleepClaimed()
						if is.before != nil {
							is.before(s, second, ip)
						}
						one := s.callLater(s.lan.Client(), ip, 22)
						if is.boots != nil {
							s.waitEvent(s.nas, lab.PoweredOn)
							is.boots(s, second, ip)
						}
						two := s.callAfterNetworkUp(second, ip)
						s.wantAtOnce("the first client", one)
						s.wantAtOnce("the second client", two)
						s.wantWokenOnce()
					})
				}
			}
		}
	}
}

// slowService starts the service 4.15 s after the network, which is 5.6 s after the knock of
// the first client and 3.65 s after that of the second.
func slowService(announce bool) func(*lab.MachineConfig) {
	return func(c *lab.MachineConfig) {
		c.Announce = announce
		c.Services[0].Delay = 4150 * time.Millisecond
	}
}

// callAfterNetworkUp connects half a second after the network of nas is up.
func (s *machineTest) callAfterNetworkUp(second *lab.Host, ip netip.Addr) pending {
	s.Helper()
	up := s.waitEvent(s.nas, lab.NetworkUp)
	sleepUntil(up.Time, 500*time.Millisecond)
	return s.callLater(second, ip, 22)
}

// TestFieldUnseenClient: the porter does not know a host that never sent a frame. The machine's
// answer to its first request comes before the porter's. The test logs what happens.
func TestFieldUnseenClient(t *testing.T) {
	variantUnless(t, false)
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(fmt.Sprint(ip), func(t *testing.T) {
			s := openMachine(t, fieldProbe, false, slowService(true))
			s.sleepClaimed()
			second := s.addClient("second", 30)
			one := s.callLater(s.lan.Client(), ip, 22)
			two := <-s.callAfterNetworkUp(second, ip)
			t.Logf("a host that was never seen before: %v", two.error)
			if two.error == nil {
				two.conn.Close()
			}
			s.wantAtOnce("the first client", one)
		})
	}
}
