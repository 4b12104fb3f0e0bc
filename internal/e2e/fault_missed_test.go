package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
)

// longAfter is when the announcements of a release are over, and the porter has forgotten the
// waiting clients.
const longAfter = 15 * time.Second

// staleClients are the cases in which a client still has the porter's MAC for a machine long
// after the release: it missed the announcements. The porter may have restarted.
var staleClients = []struct {
	name      string
	restarted bool
}{{"long after", false}, {"after a restart", true}}

// TestFieldMissedAnnouncements: the porter forwards the client's first packet.
func TestFieldMissedAnnouncements(t *testing.T) {
	t.Parallel()
	const limit = 1500 * time.Millisecond
	for _, in := range settings {
		for _, when := range staleClients {
			t.Run(in.name+"/"+when.name, func(t *testing.T) {
				variantUnless(t, in.name == "registered" || in.forwards)
				s := openMachineIn(t, in, fieldProbe, nil)
				clients := []*lab.Host{s.addClient("dozing", 31), s.addHardenedClient("hardened", 30)}
				s.sleepAndReturn(when.restarted)
				porter := s.lan.Porter().MAC()
				for _, client := range clients {
					for _, ip := range s.addrs() {
						atClient := s.capturePort(client)
						s.must(client.SetNeighbor(ip, porter))
						began := time.Now()
						c := s.call(client, s.nas, ip, 22)
						took := c.ended.Sub(began)
						t.Logf("%s reached %v after %v", client.Name(), ip, took)
						if took > limit {
							t.Errorf("%s reached %v after %v, want %v at most", client.Name(), ip, took, limit)
						}
						first, err := atClient.Wait(s.within(time.Second), opensTo(ip, began))
						s.must(err)
						if first.Dst() != porter {
							t.Errorf("the client's first packet went to %v, want the porter: otherwise the test checks nothing", first.Dst())
						}
						s.waitNeighbor(client, ip, s.nas.MAC())
					}
				}
				s.wantWokenOnce()
			})
		}
	}
}

// TestFieldQuestionIsPassedOn: a client sends a unicast neighbor request to the porter, which
// had the address. The machine itself answers, and no frame claims an address of another host.
func TestFieldQuestionIsPassedOn(t *testing.T) {
	t.Parallel()
	for _, in := range settings {
		for _, when := range staleClients {
			t.Run(in.name+"/"+when.name, func(t *testing.T) {
				variantUnless(t, in.name == "registered")
				s := openMachineIn(t, in, fieldProbe, nil)
				client := s.addHardenedClient("hardened", 30)
				s.sleepAndReturn(when.restarted)
				for _, ip := range s.addrs() {
					s.wantPassedOn(client, ip)
				}
			})
		}
	}
}

// sleepAndReturn lets nas sleep, be woken by another client, and stay awake for long.
func (s *machineTest) sleepAndReturn(restarted bool) {
	s.Helper()
	s.sleepClaimed()
	s.wantServed(nas4)
	up := time.Now()
	if restarted {
		s.daemon.Kill()
		s.restart(s.conf)
	}
	sleepUntil(up, longAfter)
}

// wantPassedOn sends a request to the porter, as a kernel does that verifies an entry (RFC 4861
// section 7.3.3).
func (s *machineTest) wantPassedOn(client *lab.Host, ip netip.Addr) {
	s.Helper()
	porter := s.lan.Porter().MAC()
	atClient, atMachine := s.capturePort(client), s.capturePort(s.nas.Host)
	s.must(client.SetNeighbor(ip, porter))
	sleepUntil(time.Now(), 1100*time.Millisecond) // the kernel ignores an answer within a second (locktime)
	asked := time.Now()
	frame, err := lan.NeighborProbe(client.MAC(), porter, clientAddr(client, ip), ip)
	s.must(err)
	s.must(client.SendFrame(frame))
	if _, err := atMachine.Wait(s.within(time.Second), isNeighborRequest(clientAddr(client, ip), ip, s.nas.MAC())); err != nil {
		s.Errorf("the question for %v did not reach the machine: %v", ip, err)
	}
	answer, err := atClient.Wait(s.within(time.Second), func(f lab.Frame) bool {
		return !f.Outgoing && f.Src() == s.nas.MAC() && speaksFor(f, ip)
	})
	if err != nil {
		s.Errorf("the machine did not answer for %v: %v", ip, err)
		return
	}
	s.Logf("%v answered for itself after %v", ip, answer.Time.Sub(asked))
	if got := countClaims(s.harness, atClient, asked, ip); got > 0 {
		s.Errorf("the porter said %d times that it has %v", got, ip)
	}
	s.waitNeighbor(client, ip, s.nas.MAC())
	began := time.Now()
	s.call(client, s.nas, ip, 22)
	next, err := atClient.Wait(s.within(time.Second), opensTo(ip, began))
	s.must(err)
	if next.Dst() != s.nas.MAC() {
		s.Errorf("the next frame went to %v, want the machine's %v", next.Dst(), s.nas.MAC())
	}
}

// speaksFor reports whether a frame says that its sender has ip. An advertisement that answers
// a unicast request may omit the sender's MAC (RFC 4861 section 7.2.4); it then confirms the
// client's entry.
func speaksFor(f lab.Frame, ip netip.Addr) bool {
	var p lan.Packet
	return p.Parse(f.Data) == lan.Accepted && (p.Kind == lan.ARPReply && p.From == ip || p.Kind == lan.NeighborAdvertisement && p.Target == ip)
}

// TestFieldKernelVerifies: the client's kernel itself verifies a stale entry after a datagram
// that gets no answer.
func TestFieldKernelVerifies(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(fmt.Sprint(ip), func(t *testing.T) {
			variantUnless(t, ip == nas4)
			s := openMachine(t, fieldProbe, false, nil)
			client := s.addHardenedClient("hardened", 30)
			s.sleepAndReturn(false)
			s.must(client.SetNeighbor(ip, s.lan.Porter().MAC()))
			conn := dialGame(s.harness, client, ip)
			sendDatagrams(s.harness, conn, "without an answer")
			s.waitNeighbor(client, ip, s.nas.MAC())
		})
	}
}
