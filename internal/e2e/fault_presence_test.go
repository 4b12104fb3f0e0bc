package e2e

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

// silences are the ways in which a machine stops without a registration.
var silences = []struct {
	name string
	end  func(*machineTest)
}{
	{"power cut", func(s *machineTest) { s.must(s.nas.PowerCut(s.ctx)) }},
	{"sleep", func(s *machineTest) { s.must(s.nas.Sleep(s.ctx)) }},
}

// maxClaimDelay is the longest time from the silence of a machine to its claim, by the default
// of watch.interval.
const maxClaimDelay = 20 * time.Second

// TestFieldAwakeForAMoment: the machine's own timer wakes it. It is awake for some seconds, and
// silent again without a registration.
func TestFieldAwakeForAMoment(t *testing.T) {
	t.Parallel()
	for _, way := range knownBy {
		for i, silence := range silences {
			t.Run(way.name+"/"+silence.name, func(t *testing.T) {
				variantUnless(t, way.name == "registered")
				s := openMachine(t, forgotten+way.conf, way.agentless, func(c *lab.MachineConfig) { c.ARPProbe, c.Announce = i == 0, i == 0 })
				s.sleepClaimed()
				time.Sleep(2 * time.Second) // probe.timeout is over
				n := s.daemon.Log.Len()
				s.must(s.nas.PowerOn())
				s.waitEvent(s.nas, lab.NetworkUp)
				s.waitState(10*time.Second, n, "nas", "awake")
				time.Sleep(8 * time.Second) // it is awake, and sends nothing
				n = s.daemon.Log.Len()
				silence.end(s)
				s.waitState(maxClaimDelay, n, "nas", "asleep")
				if happened(s.nas, lab.DADFailed) {
					t.Error("duplicate address detection failed")
				}
				s.wantServed(s.addrs()[i])
			})
		}
	}
}

// TestFieldCrash: the porter has woken the machine, and it crashes. No registration announces
// its sleep.
func TestFieldCrash(t *testing.T) {
	t.Parallel()
	for _, way := range knownBy {
		for i, silence := range silences {
			t.Run(way.name+"/"+silence.name, func(t *testing.T) {
				variantUnless(t, way.name == "registered" && i == 0)
				s := openMachine(t, forgotten+way.conf, way.agentless, nil)
				s.sleepClaimed()
				s.wantServed(s.addrs()[i])
				n := s.daemon.Log.Len()
				silence.end(s)
				s.waitState(maxClaimDelay, n, "nas", "asleep")
				s.wantServed(s.addrs()[1-i])
			})
		}
	}
}

// TestFieldIdleIsNotOff: an awake machine that sends nothing unprompted and misses each second
// probe does not count as asleep.
func TestFieldIdleIsNotOff(t *testing.T) {
	t.Parallel()
	for _, way := range knownBy {
		t.Run(way.name, func(t *testing.T) {
			variantUnless(t, way.name == "registered")
			conf := forgotten + way.conf
			if !way.agentless { // an agentless machine is probed often anyway
				conf += frequentWatch
			}
			s := openMachine(t, conf, way.agentless, nil)
			s.sleepClaimed()
			s.wantServed(nas4)
			n := s.daemon.Log.Len()
			for range 6 {
				s.must(s.lan.OpenPort(s.nas.Host, false))
				time.Sleep(400 * time.Millisecond) // at least one probe is lost
				s.must(s.lan.OpenPort(s.nas.Host, true))
				time.Sleep(1600 * time.Millisecond)
			}
			if got := countMoves(s.harness, n, "nas", "asleep"); got > 0 {
				t.Errorf("%d times taken for asleep", got)
			}
			s.must(s.nas.PowerCut(s.ctx))
			s.waitState(20*time.Second, n, "nas", "asleep") // silence soon after a wake may be a flap
			s.wantServed(nas6)
		})
	}
}

// TestFieldMutteringCard: the card of the sleeping machine sends frames to its switch, in
// protocols that do not need an operating system. They have no effect.
func TestFieldMutteringCard(t *testing.T) {
	t.Parallel()
	const pace = 700 * time.Millisecond
	spanning := lab.Mutter{Every: pace, Dst: lab.GroupMAC(0xe), Type: 38, Payload: []byte{0x42, 0x42, 3, 0, 0, 0, 0}} // 802.3: a length
	lacp := lab.Mutter{Every: pace, Dst: lab.GroupMAC(0xe), Type: lab.EtherTypeLACP, Payload: []byte{1, 1, 1, 20}}
	for name, mutter := range map[string]lab.Mutter{"LLDP": lab.LLDP(pace), "EAPOL": lab.EAPOL(pace), "LACP": lacp, "STP": spanning} {
		for _, way := range knownBy {
			t.Run(name+"/"+way.name, func(t *testing.T) {
				variantUnless(t, way.name == "registered" && (name == "LLDP" || name == "STP"))
				s := openMachine(t, fieldProbe+way.conf, way.agentless, func(c *lab.MachineConfig) { c.Mutter = mutter })
				capture := s.capturePort(s.lan.Porter())
				s.sleepClaimed()
				s.waitMutter(capture, mutter, 1)
				n, lines, quiet := s.daemon.Log.Len(), journalLines(s.harness), time.Now().Add(8*time.Second)
				wantNoLine(s.harness, 12*time.Second, n, "it moved", labdaemon.Moved("nas", "", "settling", ""))
				s.waitMutter(capture, mutter, 10)
				if got := journalLines(s.harness); got > lines+1 { // the claim's own record may be on its way
					t.Errorf("the journal grew from %d to %d lines", lines, got)
				}
				for _, ip := range s.addrs() {
					if got := countClaims(s.harness, capture, quiet, ip); got > 0 {
						t.Errorf("%v was announced %d times", ip, got)
					}
				}
				s.wantMagicAtOnce(nas4)
			})
		}
	}
}

// waitMutter waits until the porter's card has received a number of frames from the machine's
// card.
func (s *machineTest) waitMutter(capture *lab.Capture, what lab.Mutter, count int) {
	s.Helper()
	seen := 0
	_, err := capture.Wait(s.within(5*time.Second), func(f lab.Frame) bool {
		if f.Src() == s.nas.MAC() && f.EtherType() == what.Type && !f.Outgoing {
			seen++
		}
		return seen >= count
	})
	if err != nil {
		s.Fatalf("%d frames of the card, which prove nothing: %v", seen, err)
	}
}

// wantMagicAtOnce connects, and expects that the magic packet is sent at once.
func (s *machineTest) wantMagicAtOnce(ip netip.Addr) {
	s.Helper()
	client := s.lan.Client()
	s.wantNeighbor(client, ip, s.lan.Porter().MAC())
	began := time.Now()
	s.wantServed(ip)
	for _, e := range s.nas.Log() {
		if e.Kind == lab.MagicPacket && e.Time.After(began) {
			if took := e.Time.Sub(began); took > 500*time.Millisecond {
				s.Errorf("the magic packet came %v after the knock", took)
			}
			return
		}
	}
}
