package e2e

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// TestFieldHardenedClient: a client that takes no announcement waits for a machine that
// resolves its router during the boot. That request shows all hosts where the machine is, and
// its service is not ready for seconds.
func TestFieldHardenedClient(t *testing.T) {
	t.Parallel()
	for _, in := range settings {
		for _, ip := range []netip.Addr{nas4, nas6} {
			for _, announce := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v/announce=%t", in.name, ip, announce), func(t *testing.T) {
					variantUnless(t, in.name == "registered" && !announce || in.forwards && announce && ip == nas4)
					s := openMachineIn(t, in, fieldProbe, func(c *lab.MachineConfig) {
						c.AsksRouter, c.Announce = true, announce
						c.Services[0].Delay = 5250 * time.Millisecond // ready 6.7 s after the knock
					})
					hardened, ordinary := s.addHardenedClient("hardened", 30), s.addClient("ordinary", 31)
					s.sleepClaimed()
					strict, plain := s.callLater(hardened, ip, 22), s.callLater(ordinary, ip, 22)
					s.wantAtOnce("an ordinary client", plain)
					s.wantAtOnce("a hardened client", strict)
					s.wantWokenOnce()
				})
			}
		}
	}
}

// TestFieldHardenedAtTheClaim: a client that takes no announcement has an entry for the
// machine, and connects just after the claim. Its packets must reach the porter, not the
// sleeping card.
func TestFieldHardenedAtTheClaim(t *testing.T) {
	t.Parallel()
	const limit = 1500 * time.Millisecond
	for _, in := range settings {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(fmt.Sprintf("%s/%v", in.name, ip), func(t *testing.T) {
				variantUnless(t, in.name == "registered")
				s := openMachineIn(t, in, fieldProbe, nil)
				hardened := s.addHardenedClient("hardened", 30)
				s.call(hardened, s.nas, ip, 22)
				s.sleepClaimed()
				sleepUntil(time.Now(), 1500*time.Millisecond) // two announcements
				began := time.Now()
				waits := s.callLater(hardened, ip, 22)
				on := s.waitEvent(s.nas, lab.PoweredOn)
				if took := on.Time.Sub(began); took > limit {
					t.Errorf("powered on %v after the client's first packet, want %v at most", took, limit)
				}
				s.waitCall(waits, s.nas)
				s.wantWokenOnce()
			})
		}
	}
}

// TestFieldHardenedSession: a machine resumes from RAM with its neighbor table, and sends no
// request. A client that takes no announcement keeps sending to the porter, and its session
// does not stop.
func TestFieldHardenedSession(t *testing.T) {
	t.Parallel()
	const span, gap, starved = 25 * time.Second, time.Second, 10 * time.Second
	for _, in := range settings {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(fmt.Sprintf("%s/%v", in.name, ip), func(t *testing.T) {
				variantUnless(t, in.name == "registered" || in.forwards && ip == nas4)
				s := openMachineIn(t, in, fieldProbe, func(c *lab.MachineConfig) { c.Suspend = true })
				clients := map[string]*lab.Host{"an ordinary client": s.addClient("ordinary", 31), "a hardened client": s.addHardenedClient("hardened", 30)}
				for _, client := range clients {
					s.must(s.nas.WarmNeighbor(s.within(5*time.Second), clientAddr(client, ip)))
				}
				s.sleepClaimed()
				for _, client := range clients { // they take the porter's MAC from its answer
					s.wantNeighbor(client, ip, s.lan.Porter().MAC())
				}
				calls, longest := make(map[string]pending), make(map[string]chan time.Duration)
				for who, client := range clients {
					calls[who] = s.callLater(client, ip, 22)
				}
				for who, waits := range calls {
					c := s.waitCall(waits, s.nas)
					longest[who] = make(chan time.Duration, 1)
					go func(result chan<- time.Duration) { result <- longestGap(c.conn, span) }(longest[who])
				}
				ordinary, hardened := <-longest["an ordinary client"], <-longest["a hardened client"]
				t.Logf("longest gaps: %v of an ordinary client, %v of a hardened one", ordinary, hardened)
				// A busy computer delays both at the same time.
				if ordinary > starved || hardened > ordinary+gap {
					t.Errorf("the session of a hardened client stood still for %v, and that of an ordinary one for %v", hardened, ordinary)
				}
			})
		}
	}
}

// longestGap exchanges bytes with an echo service, and returns the longest time between two of
// them.
func longestGap(conn net.Conn, span time.Duration) (longest time.Duration) {
	const pace = 200 * time.Millisecond
	last, data := time.Now(), make([]byte, 1)
	for end := last.Add(span); last.Before(end); {
		_ = conn.SetDeadline(end.Add(time.Second))
		if _, err := conn.Write([]byte(".")); err != nil {
			return max(longest, time.Since(last))
		}
		if _, err := io.ReadFull(conn, data); err != nil {
			return max(longest, time.Since(last))
		}
		longest = max(longest, time.Since(last))
		last = time.Now()
		time.Sleep(pace)
	}
	return longest
}
