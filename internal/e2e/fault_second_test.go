package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// acquaintances are what a second client did before it connects. None of them leaves
// an entry for the machine in its neighbour table.
var secondClients = []struct {
	name          string
	before, boots func(*machineTest, *lab.Host, netip.Addr)
}{
	{"used the LAN", func(s *machineTest, host *lab.Host, _ netip.Addr) { s.must(resolveRouter(s.harness, s.ctx, host)) }, nil},
	{"asked in the sleep", func(s *machineTest, host *lab.Host, ip netip.Addr) { s.resolveAndForget(host, ip) }, nil},
	{"knocked in the boot", nil, func(s *machineTest, host *lab.Host, ip netip.Addr) {
		s.startConnecting(host, ip, 22).cancelAfter(300 * time.Millisecond)
		s.must(host.ForgetNeighbor(ip))
	}},
}

// asksInVain has a host ask for an address that the porter answers for, and forget it.
func (s *machineTest) resolveAndForget(host *lab.Host, ip netip.Addr) {
	s.Helper()
	s.wantNeighbor(host, ip, s.lan.Porter().MAC())
	s.must(host.ForgetNeighbor(ip))
}

// TestFieldSecondClient: while the machine has its network and not yet its service,
// a second client comes. The machine's kernel would refuse it at once.
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

// slowService has the service come up 4.15 s after the network, which is 5.6 s after
// the knock of the first client and 3.65 s after that of the second.
func slowService(announce bool) func(*lab.MachineConfig) {
	return func(c *lab.MachineConfig) {
		c.Announce = announce
		c.Services[0].Delay = 4150 * time.Millisecond
	}
}

// later connects half a second after the network of nas is up.
func (s *machineTest) callAfterNetworkUp(second *lab.Host, ip netip.Addr) pending {
	s.Helper()
	up := s.waitEvent(s.nas, lab.NetworkUp)
	sleepUntil(up.Time, 500*time.Millisecond)
	return s.callLater(second, ip, 22)
}

// TestFieldStranger: of a host that never sent a frame nobody can know. The machine's
// own answer to its first question is the faster one. What happens is only logged.
func TestFieldUnseenClient(t *testing.T) {
	variantUnless(t, false)
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
