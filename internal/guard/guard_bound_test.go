package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
)

// In these tests the kernel of the porter's host owns the claimed addresses, has
// services of its own on all addresses, and only the host could answer.

const (
	ownPort  = 22 // of the host's own service
	deafPort = 81
)

// bindAddresses makes the host own the claimed addresses.
func (p *post) bindAddresses() {
	p.Helper()
	p.must(p.host.Do(func() error { return lan.BindAddr(p.index(), nas4, nas6) }))
}

// index is the number of the host's interface; to be asked for inside the host.
func (p *post) index() int {
	p.Helper()
	ifi, err := net.InterfaceByName(lab.Interface)
	p.must(err)
	return ifi.Index
}

// open starts the host's own service.
func (p *post) open() {
	p.Helper()
	for _, network := range []string{"tcp4", "tcp6"} {
		listener, err := p.host.Listen(p.Context(), network, fmt.Sprintf(":%d", ownPort))
		p.must(err)
		p.Cleanup(func() { _ = listener.Close() })
	}
}

// attempt is a connection that a client has begun.
type attempt struct {
	name string
	fd   int
}

func (p *post) attempt(from *lab.Host, name string, ip netip.Addr, port int) attempt {
	p.Helper()
	to, domain := unix.Sockaddr(&unix.SockaddrInet6{Port: port, Addr: ip.As16()}), unix.AF_INET6
	if ip.Is4() {
		to, domain = &unix.SockaddrInet4{Port: port, Addr: ip.As4()}, unix.AF_INET
	}
	a := attempt{name: name}
	p.must(from.Do(func() (err error) {
		if a.fd, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		p.Cleanup(func() { _ = unix.Close(a.fd) })
		if err = unix.Connect(a.fd, to); err != unix.EINPROGRESS && err != unix.ECONNREFUSED {
			return err
		}
		return nil
	}))
	return a
}

// outcome is what the attempt has come to, after so long at most: silence, a
// connection or an error.
func (p *post) outcome(a attempt, wait time.Duration) string {
	p.Helper()
	fds := []unix.PollFd{{Fd: int32(a.fd), Events: unix.POLLOUT}}
	for {
		n, err := unix.Poll(fds, int(wait.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		p.must(err)
		if n == 0 {
			return a.name + ": silence"
		}
		break
	}
	errno, err := unix.GetsockoptInt(a.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	p.must(err)
	if errno != 0 {
		return a.name + ": " + unix.Errno(errno).Error()
	}
	return a.name + ": connected"
}

// knock has the client and the host's own programs connect to the claimed
// addresses, and returns what they came to.
func (p *post) knock(wait time.Duration) (outcomes []string) {
	p.Helper()
	client := p.lan.Client()
	p.must(client.Do(func() error {
		for _, ip := range []netip.Addr{nas4, nas6, p.host.Addr4(), p.host.Addr6()} {
			if err := lan.PinNeighbor(p.index(), ip, p.host.MAC()); err != nil {
				return err
			}
		}
		return nil
	}))
	var all []attempt
	for _, ip := range []netip.Addr{nas4, nas6} {
		for _, port := range []int{ownPort, deafPort} {
			all = append(all,
				p.attempt(client, fmt.Sprintf("client to %v:%d", ip, port), ip, port),
				p.attempt(p.host, fmt.Sprintf("host to %v:%d", ip, port), ip, port))
		}
	}
	// What comes later and is answered shows that the earlier was not.
	for _, from := range []*lab.Host{client, p.host} {
		for _, ip := range []netip.Addr{p.host.Addr4(), p.host.Addr6()} {
			if got := p.outcome(p.attempt(from, "own", ip, ownPort), 5*time.Second); got != "own: connected" {
				p.Errorf("%s to %v: %s", from.Name(), ip, got)
			}
		}
	}
	for _, a := range all {
		outcomes = append(outcomes, p.outcome(a, wait))
	}
	return outcomes
}

// questions returns which of the claimed addresses the host's kernel answers
// for, asked by broadcast and alone.
func (p *post) questions() (answered []string) {
	p.Helper()
	client := p.lan.Client()
	ctx, cancel := context.WithTimeout(p.Context(), 10*time.Second)
	defer cancel()
	capture, err := client.Capture(ctx)
	p.must(err)
	defer capture.Close()
	for _, dst := range []ether.MAC{ether.Broadcast, p.host.MAC()} {
		n := len(capture.Frames())
		for _, ip := range []netip.Addr{nas4, nas6, p.host.Addr4(), p.host.Addr6()} {
			from := client.Addr6()
			if ip.Is4() {
				from = client.Addr4()
			}
			question, err := lan.NeighborProbe(client.MAC(), dst, from, ip)
			p.must(err)
			p.must(client.SendFrame(question))
		}
		seen := make(map[netip.Addr]bool)
		_, err = capture.Wait(ctx, func(f lab.Frame) bool {
			if n--; n < 0 {
				if ip, ok := answers(f); ok && f.Src() == p.host.MAC() {
					seen[ip] = true
				}
			}
			return seen[p.host.Addr4()] && seen[p.host.Addr6()]
		})
		p.must(err)
		for _, ip := range []netip.Addr{nas4, nas6} {
			if seen[ip] {
				answered = append(answered, fmt.Sprintf("%v asked at %v", ip, dst))
			}
		}
	}
	return answered
}

// answers returns the address that a frame answers for.
func answers(f lab.Frame) (netip.Addr, bool) {
	var p lan.Packet
	if f.Outgoing || p.Parse(f.Data) != lan.Accepted {
		return netip.Addr{}, false
	}
	switch p.Kind {
	case lan.ARPReply:
		return p.From, true
	case lan.NeighborAdvertisement:
		return p.Target, true
	}
	return netip.Addr{}, false
}

// detectDuplicate gives the claimed IPv6 address to the client too, in the
// proper way, and reports whether that found another owner.
func (p *post) detectDuplicate() (duplicate bool) {
	p.Helper()
	p.must(p.lan.Client().Sysctl("net/ipv6/conf/eth0/accept_dad", "1")) // the lab's hosts have no time for it
	p.must(p.lan.Client().Do(func() error {
		c, err := rtnetlink.Dial(nil)
		if err != nil {
			return err
		}
		defer c.Close()
		m := &rtnetlink.AddressMessage{Family: unix.AF_INET6, PrefixLength: 64, Index: uint32(p.index()),
			Attributes: &rtnetlink.AddressAttributes{Address: nas6.AsSlice()}}
		if err := c.Address.New(m); err != nil {
			return err
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			all, err := c.Address.List()
			if err != nil {
				return err
			}
			i := slices.IndexFunc(all, func(m rtnetlink.AddressMessage) bool { return m.Attributes.Address.Equal(nas6.AsSlice()) })
			if i < 0 {
				return errors.New("the address is not there")
			}
			flags := all[i].Attributes.Flags
			if duplicate = flags&unix.IFA_F_DADFAILED != 0; duplicate || flags&unix.IFA_F_TENTATIVE == 0 {
				return c.Address.Delete(m)
			}
			if time.Now().After(deadline) {
				return errors.New("duplicate address detection does not end")
			}
		}
	}))
	return duplicate
}

// TestBoundAddressesAreSilent with the guard, and without it, or after its end,
// they are not: the kernel answers every request, and every service of the host is
// the machine's.
func TestBoundAddressesAreSilent(t *testing.T) {
	p := newHost(t)
	p.open()
	g := p.install(bound)
	p.must(g.Hold(lab.Interface, nas4, nas6))
	p.bindAddresses()
	if got := p.questions(); got != nil {
		t.Errorf("the kernel answers for %v", got)
	}
	var silence, speech []string
	for _, ip := range []netip.Addr{nas4, nas6} {
		for _, c := range []struct {
			port int
			said string
		}{{ownPort, "connected"}, {deafPort, "connection refused"}} {
			for _, who := range []string{"client", "host"} {
				name := fmt.Sprintf("%s to %v:%d: ", who, ip, c.port)
				silence, speech = append(silence, name+"silence"), append(speech, name+c.said)
			}
		}
	}
	if diff := cmp.Diff(silence, p.knock(0)); diff != "" {
		t.Errorf("with the guard (-want +got):\n%s", diff)
	}
	if p.detectDuplicate() {
		t.Error("duplicate address detection fails")
	}

	p.must(g.Close())
	if left := p.tables(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if got := p.questions(); len(got) != 4 {
		t.Errorf("without the guard the kernel answers for %v only", got)
	}
	if diff := cmp.Diff(speech, p.knock(5*time.Second)); diff != "" {
		t.Errorf("without the guard (-want +got):\n%s", diff)
	}
	if !p.detectDuplicate() {
		t.Error("without the guard duplicate address detection passes")
	}
}

// TestReleasedWhileBound: what is not held is the kernel's.
func TestReleasedWhileBound(t *testing.T) {
	p := newHost(t)
	g := p.install(bound)
	p.bindAddresses()
	p.must(g.Hold(lab.Interface, nas4, nas6))
	p.must(g.Release(lab.Interface, nas4))
	want := []string{fmt.Sprintf("%v asked at %v", nas4, ether.Broadcast), fmt.Sprintf("%v asked at %v", nas4, p.host.MAC())}
	if diff := cmp.Diff(want, p.questions()); diff != "" {
		t.Errorf("the kernel answers for (-want +got):\n%s", diff)
	}
}

// TestBoundOnAnotherInterface: the kernel takes packets in, and answers ARP, on
// every interface, whether it is one of ours or not.
func TestBoundOnAnotherInterface(t *testing.T) {
	for _, interfaces := range [][]string{{"wlan0"}, {"wlan0", lab.Interface}} {
		p := newHost(t)
		p.open()
		g := p.install(Options{Interfaces: interfaces, Bound: true})
		p.must(g.Hold("wlan0", nas4, nas6))
		p.bindAddresses()
		ours := len(interfaces) > 1
		for _, got := range p.questions() {
			if ours || got != fmt.Sprintf("%v asked at %v", nas6, ether.Broadcast) && got != fmt.Sprintf("%v asked at %v", nas6, p.host.MAC()) {
				t.Errorf("of %v: the kernel answers for %v", interfaces, got)
			}
		}
		for _, got := range p.knock(0) {
			if !strings.HasSuffix(got, "silence") {
				t.Errorf("of %v: %s", interfaces, got)
			}
		}
	}
}
