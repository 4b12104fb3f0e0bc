package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

const (
	// RFC 5227 section 1.1 has three probes, 1 to 2 s apart; the pause is shortened.
	arpProbes        = 3
	arpProbeInterval = 100 * time.Millisecond
)

// osNetwork is what the operating system of a machine does with its network at a boot.
type osNetwork struct{ *Machine }

// configure sets the addresses and routes of the machine, with duplicate address
// detection. It returns the addresses that other hosts have.
func (o osNetwork) configure(ctx context.Context) (duplicates []netip.Addr, err error) {
	err = o.ns.Netlink(func(c *rtnetlink.Conn) error {
		if err := setLinkFlags(c, o.index, 0, unix.IFF_NOARP); err != nil {
			return err
		}
		if err := o.startIPv6(c); err != nil {
			return err
		}
		// While the kernel waits for objections to the IPv6 addresses.
		if duplicates, err = o.startIPv4(ctx, c); err != nil {
			return err
		}
		var added []netip.Prefix
		for _, p := range o.addresses() {
			if !slices.Contains(duplicates, p.Addr()) {
				added = append(added, p)
			}
		}
		if err := addDefaultRoutes(c, o.index, added, gateways()); err != nil {
			return err
		}
		failed, err := waitAddrs(ctx, c, o.index, added)
		duplicates = append(duplicates, failed...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("configure network: %w", err)
	}
	return duplicates, nil
}

// startIPv6 switches IPv6 on, with duplicate address detection: one probe and
// a RetransTimer of waiting (RFC 4862 section 5.4).
func (o osNetwork) startIPv6(c *rtnetlink.Conn) error {
	if !o.hasIPv6() {
		return nil
	}
	retransTimer := cmp.Or(o.cfg.RetransTimer, time.Second)
	err := writeSysctls([]setting{
		{"net/ipv6/neigh/" + Interface + "/retrans_time_ms", strconv.FormatInt(retransTimer.Milliseconds(), 10)},
		{sysctlIPv6("accept_dad"), "1"},
		{sysctlIPv6("dad_transmits"), "1"},
		{sysctlIPv6("disable_ipv6"), "0"},
	})
	if err != nil {
		return err
	}
	for _, p := range o.addresses() {
		if p.Addr().Is4() {
			continue
		}
		if err := addAddr(c, o.index, p, 0); err != nil {
			return err
		}
	}
	return nil
}

func (o osNetwork) startIPv4(ctx context.Context, c *rtnetlink.Conn) (duplicates []netip.Addr, err error) {
	for _, p := range o.addresses() {
		if !p.Addr().Is4() {
			continue
		}
		if o.cfg.ARPProbe {
			used, err := o.probeARP(ctx, p.Addr())
			if err != nil {
				return nil, err
			}
			if used {
				duplicates = append(duplicates, p.Addr())
				continue
			}
		}
		if err := addAddr(c, o.index, p, 0); err != nil {
			return nil, err
		}
	}
	return duplicates, nil
}

// askRouter sends one datagram to a router. The kernel resolves the router before, with a
// broadcast that names the source address of the datagram.
func (o osNetwork) askRouter(to netip.AddrPort) error {
	conn, err := o.Dial(o.lan.ctx, "udp", to.String())
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("name?"))
	return errors.Join(err, conn.Close())
}

// announce sends the MAC of the machine to all hosts: gratuitous ARP (RFC 5227 section
// 2.3) and unsolicited advertisements (RFC 4861 section 7.2.6).
func (o osNetwork) announce(except []netip.Addr) error {
	return o.transmit(func(conn *packet.Conn) error {
		for _, p := range o.addresses() {
			a := p.Addr()
			if slices.Contains(except, a) {
				continue
			}
			frame, err := announcement(o.mac, a)
			if err != nil {
				return err
			}
			if err := o.writeFrame(conn, frame); err != nil {
				return err
			}
		}
		return nil
	})
}

// probeARP probes for ip (RFC 5227 section 2.1.1) and reports whether another host uses it.
func (o osNetwork) probeARP(ctx context.Context, ip netip.Addr) (used bool, err error) {
	conn, err := o.packetConn(int(ethernet.EtherTypeARP), nil)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	probe := arpMessage{op: arpRequest, senderMAC: o.mac, senderIP: netip.IPv4Unspecified(), targetIP: ip}
	for range arpProbes {
		if err := o.writeFrame(conn, probe.frame(ether.Broadcast)); err != nil {
			return false, err
		}
		used, err := o.objection(conn, ip, time.Now().Add(arpProbeInterval))
		if used || err != nil {
			return used, err
		}
	}
	return false, nil
}

// objection reads until the deadline and reports whether another host claims ip or probes
// for it too.
func (o osNetwork) objection(conn *packet.Conn, ip netip.Addr, deadline time.Time) (bool, error) {
	if err := conn.SetReadDeadline(deadline); err != nil {
		return false, err
	}
	buf := make([]byte, 256)
	for {
		n, _, err := conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		a, ok := parseARP(Frame{Data: buf[:n]})
		if !ok || a.senderMAC == o.mac {
			continue
		}
		probing := a.senderIP.IsUnspecified() && a.targetIP == ip && a.op == arpRequest
		if a.senderIP == ip || probing {
			return true, nil
		}
	}
}

func announcement(mac ether.MAC, a netip.Addr) ([]byte, error) {
	if a.Is4() {
		gratuitous := arpMessage{op: arpRequest, senderMAC: mac, senderIP: a, targetIP: a}
		return gratuitous.frame(ether.Broadcast), nil
	}
	all := netip.IPv6LinkLocalAllNodes()
	return advertisement(mac, a, all, multicastMAC(all), false)
}
