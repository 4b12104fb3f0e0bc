package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/wait"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// boot takes the machine from power-on to its services. It ends with the
// session s.
func (m *Machine) boot(s *session) {
	err := m.comeUp(s, time.Now())
	if err != nil && s.ctx.Err() == nil {
		m.log.add(Event{Kind: Failed, Detail: "boot: " + err.Error()})
	}
}

func (m *Machine) comeUp(s *session, start time.Time) error {
	if err := m.runFirmware(s.ctx, start); err != nil {
		return err
	}
	if !wait.Until(s.ctx, start.Add(m.cfg.Boot)) {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, setupTimeout)
	defer cancel()
	duplicates, err := m.configureNetwork(ctx)
	if err != nil {
		return err
	}
	m.startGuests() // before it is awake, and may be put to sleep
	if !m.wokeUp(s) {
		return nil
	}
	up := time.Now()
	m.networkUp(duplicates)
	for _, service := range m.Services() {
		if slices.Contains(duplicates, service.Addr) {
			continue
		}
		s.start(func() { m.openLater(s, service, up) })
	}
	m.flapLater(s)
	return m.speakUp(duplicates)
}

// networkUp logs that the network is configured.
func (m *Machine) networkUp(duplicates []netip.Addr) {
	for _, a := range duplicates {
		m.log.add(Event{Kind: DADFailed, Addr: a, Detail: a.String()})
	}
	m.log.add(Event{Kind: NetworkUp})
}

// speakUp is what the machine says as soon as it has its addresses, if anything.
func (m *Machine) speakUp(except []netip.Addr) error {
	if m.cfg.AsksRouter {
		for _, gateway := range gateways() {
			if gateway.Is6() && !m.hasIPv6() || gateway.Is4() && !m.Addr4().IsValid() {
				continue
			}
			if err := m.askRouter(netip.AddrPortFrom(gateway, 53)); err != nil {
				return err
			}
		}
	}
	if m.cfg.Announce {
		return m.announce(except)
	}
	return nil
}

// wokeUp makes the machine awake, unless the power was cut meanwhile.
func (m *Machine) wokeUp(s *session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.ctx.Err() != nil || m.state != Booting {
		return false
	}
	m.state = Awake
	return true
}

// configureNetwork does what the operating system does: addresses, duplicate
// address detection, routes. It returns the addresses that are somebody
// else's.
func (m *Machine) configureNetwork(ctx context.Context) (duplicates []netip.Addr, err error) {
	err = m.ns.Netlink(func(c *rtnetlink.Conn) error {
		if err := setLinkFlags(c, m.index, 0, unix.IFF_NOARP); err != nil {
			return err
		}
		if err := m.startIPv6(c); err != nil {
			return err
		}
		// While the kernel waits for objections to the IPv6 addresses.
		if duplicates, err = m.startIPv4(ctx, c); err != nil {
			return err
		}
		var added []netip.Prefix
		for _, p := range m.addresses() {
			if !slices.Contains(duplicates, p.Addr()) {
				added = append(added, p)
			}
		}
		if err := addDefaultRoutes(c, m.index, added, gateways()); err != nil {
			return err
		}
		failed, err := waitAddrs(ctx, c, m.index, added)
		duplicates = append(duplicates, failed...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("configure network: %w", err)
	}
	return duplicates, nil
}

// startIPv6 switches IPv6 on, with duplicate address detection: one probe and
// a RetransTimer of waiting (RFC 4862, section 5.4).
func (m *Machine) startIPv6(c *rtnetlink.Conn) error {
	if !m.hasIPv6() {
		return nil
	}
	retransTimer := cmp.Or(m.cfg.RetransTimer, time.Second)
	err := writeSysctls([]setting{
		{"net/ipv6/neigh/" + Interface + "/retrans_time_ms", strconv.FormatInt(retransTimer.Milliseconds(), 10)},
		{sysctlIPv6("accept_dad"), "1"},
		{sysctlIPv6("dad_transmits"), "1"},
		{sysctlIPv6("disable_ipv6"), "0"},
	})
	if err != nil {
		return err
	}
	for _, p := range m.addresses() {
		if p.Addr().Is4() {
			continue
		}
		if err := addAddr(c, m.index, p, 0); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) startIPv4(ctx context.Context, c *rtnetlink.Conn) (duplicates []netip.Addr, err error) {
	for _, p := range m.addresses() {
		if !p.Addr().Is4() {
			continue
		}
		if m.cfg.ARPProbe {
			used, err := m.probeARP(ctx, p.Addr())
			if err != nil {
				return nil, err
			}
			if used {
				duplicates = append(duplicates, p.Addr())
				continue
			}
		}
		if err := addAddr(c, m.index, p, 0); err != nil {
			return nil, err
		}
	}
	return duplicates, nil
}

// askRouter sends one datagram, from an address that others know, so that the
// kernel names this one when it asks all for the router.
func (m *Machine) askRouter(to netip.AddrPort) error {
	conn, err := m.Dial(m.lan.ctx, "udp", to.String())
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("name?"))
	return errors.Join(err, conn.Close())
}

// announce tells everybody the machine's MAC: gratuitous ARP (RFC 5227,
// section 2.3) and unsolicited advertisements (RFC 4861, section 7.2.6).
func (m *Machine) announce(except []netip.Addr) error {
	return m.transmit(func(conn *packet.Conn) error {
		for _, p := range m.addresses() {
			a := p.Addr()
			if slices.Contains(except, a) {
				continue
			}
			frame, err := announcement(m.mac, a)
			if err != nil {
				return err
			}
			if err := m.writeFrame(conn, frame); err != nil {
				return err
			}
		}
		return nil
	})
}

func announcement(mac ether.MAC, a netip.Addr) ([]byte, error) {
	if a.Is4() {
		gratuitous := arpMessage{op: arpRequest, senderMAC: mac, senderIP: a, targetIP: a}
		return gratuitous.frame(ether.Broadcast), nil
	}
	all := netip.IPv6LinkLocalAllNodes()
	return advertisement(mac, a, all, multicastMAC(all), false)
}
