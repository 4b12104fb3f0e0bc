package machine_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

var (
	guestMAC = ether.MAC{0x52, 0x54, 0, 0, 0, 0x1e}
	guest4   = netip.MustParseAddr("10.77.0.30")
	guestSSH = machine.Service{Addr: guest4, Port: ssh.Port}
)

// host is spec with a guest.
func host() machine.Spec {
	s := spec()
	s.Monitor = append(s.Monitor, machine.Address{IP: guest4, MAC: guestMAC, Ports: []machine.Port{guestSSH.Port}})
	return s
}

// hostAsleep is a life of host in which it sleeps.
func hostAsleep(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return lifeOf(t, host(), change).event(machine.Registered{Spec: host()}).pass(3 * time.Second).want(machine.Asleep).forget()
}

func TestWhereAnAddressIs(t *testing.T) {
	s := host()
	for ip, want := range map[netip.Addr]ether.MAC{ip4: nasMAC, ip6: nasMAC, guest4: guestMAC, away4: nasMAC} {
		if got := s.Owner(ip); got != want {
			t.Errorf("%v is at %v, want %v", ip, got, want)
		}
	}
	if !s.Hosts(guestMAC) || s.Hosts(nasMAC) || s.Hosts(otherMAC) {
		t.Error("wrong about who is a guest")
	}
	if own, guests := s.Own(), s.Guests(); len(own) != 2 || len(guests) != 1 || guests[0].IP != guest4 {
		t.Errorf("own %v, guests %v", own, guests)
	}
}

// TestGuestIsAwaited: a machine whose guest is wanted is asked at its own addresses too,
// since the guest comes later. The machine keeps the claim up to then, and the guest's
// silence is not the machine's.
func TestGuestIsAwaited(t *testing.T) {
	l := hostAsleep(t, nil).event(machine.Knocked{Service: guestSSH, Source: client}).want(machine.Waking).pass(5 * time.Second)
	if !slices.ContainsFunc(actions[machine.Probe](l), func(p machine.Probe) bool { return slices.Contains(p.Addrs, ip4) }) {
		t.Fatal("the machine itself is not asked")
	}
	l.event(answer(ip4)).want(machine.Arriving).as(at(ip4), 30*time.Second).want(machine.Arriving)
	if got := l.m.Claimed(); !slices.Contains(got, guest4) {
		t.Errorf("claimed are %v", got)
	}
	if n := l.rounds(); n != 1 {
		t.Errorf("%d rounds of magic packets for a machine that came after 5 s", n)
	}
	l.event(tests(guest4)).as(at(ip4), time.Second).want(machine.Arriving)
	l.forget().event(answer(guest4), ready).want(machine.Awake)
	if !slices.ContainsFunc(actions[machine.Announce](l), func(a machine.Announce) bool { return slices.Contains(a.Addrs, guest4) }) {
		t.Error("the guest's address is not announced")
	}
}

// TestGuestWithoutClients: the machine is handed over without it, and its address is
// announced when it uses that.
func TestGuestWithoutClients(t *testing.T) {
	l := hostAsleep(t, nil).event(knockSSH).pass(5*time.Second).event(answer(ip4), ready).want(machine.Awake)
	l.as(at(ip4), 5*time.Second).want(machine.Awake).forget()
	l.event(tests(guest4)).wantActions()
	l.event(uses(guest4)).wantActions(machine.Announce{Addrs: []netip.Addr{guest4}})
}

// TestGuestProvesItsHost: whatever a guest answers, neither the network card nor the
// firmware of its host sent it. Its silence says nothing while the host answers.
func TestGuestProvesItsHost(t *testing.T) {
	l := hostAsleep(t, nil).event(tests(guest4)).as(at(guest4), time.Second).want(machine.Awake)
	l.as(at(ip4), time.Hour).want(machine.Awake).as(at(guest4), time.Hour).want(machine.Awake)
	l.pass(20 * time.Second).want(machine.Asleep)

	// Where only an operating system counts, a neighbor's answer of the guest does.
	l = lifeOf(t, host(), override).event(machine.Registered{Spec: host()}).as(onlyCard, 11*time.Minute).want(machine.Asleep)
	if !l.m.Proves(guest4, machine.ByNeighbor) || l.m.Proves(ip4, machine.ByNeighbor) {
		t.Error("a guest is taken for the card, or the card for a guest")
	}
	l.event(frame).as(at(guest4), time.Second).want(machine.Awake)
}

// TestTCPOfAGuest: a service of a guest does not answer for the operating system of its
// host, which may be up long before.
func TestTCPOfAGuest(t *testing.T) {
	s := host()
	s.Monitor[0].Ports, s.Monitor[1].Ports = nil, nil
	l := lifeOf(t, s, override).event(machine.Registered{Spec: s}).as(onlyCard, 11*time.Minute)
	if got := l.m.NeededProof(); got != machine.ByEcho {
		t.Errorf("wanted is proof %d, want an echo", got)
	}
}

// TestGuestWithAnotherMAC has to answer anew, where that is asked for.
func TestGuestWithAnotherMAC(t *testing.T) {
	unproved := []machine.Place{{Addr: guest4, Unproved: true}}
	l := lifeOf(t, host(), nil).event(machine.Registered{Spec: host(), Here: true}).up(time.Minute)
	s := host()
	s.Monitor[2].MAC = otherMAC
	l.event(machine.Registered{Spec: s, Places: unproved}).pass(time.Minute).want(machine.Asleep)
	if got := l.m.Claimed(); slices.Contains(got, guest4) {
		t.Errorf("claimed are %v", got)
	}
	if got := l.m.Status().Addresses[2]; got.Standing != machine.Waiting || got.MAC != otherMAC || got.Reason != "its guest has not answered for it yet" {
		t.Errorf("the guest's address: %+v", got)
	}
}

// TestGuestIsNotAwaitedWhereOnlyTheHostIsRequested, but for a test.
func TestGuestIsNotAwaitedWhereOnlyTheHostIsRequested(t *testing.T) {
	for ask, want := range map[machine.Event][]machine.Service{wakeAsked: {ssh}, testAsked: {ssh, guestSSH}} {
		l := hostAsleep(t, nil).event(ask).pass(s).forget().event(answer(ip4))
		if over := actions[machine.CheckServices](l); len(over) != 1 || !slices.Equal(over[0].Services, want) {
			t.Errorf("%+v waits for %v, want %v", ask, over, want)
		}
	}
	// That a guest is ready says nothing of its host.
	l := hostAsleep(t, nil).event(machine.Knocked{Service: guestSSH, Source: client}, wakeAsked).pass(s).event(answer(ip4), answer(guest4))
	l.event(machine.ServicesReady{Services: []machine.Service{guestSSH}}).want(machine.Arriving)
}
