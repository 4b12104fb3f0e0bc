package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/wait"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
)

const (
	dhcpServerPort = 67
	dhcpClientPort = 68
	// firmwareGap is the pause between the firmware's two DHCPDISCOVER; a
	// real one waits seconds.
	firmwareGap = 100 * time.Millisecond
	// RFC 5227 (section 1.1) probes three times, 1 to 2 s apart; shortened.
	arpProbes        = 3
	arpProbeInterval = 100 * time.Millisecond
)

// transmit lends fn a packet socket for sending.
func (m *Machine) transmit(fn func(*packet.Conn) error) error {
	conn, err := m.packetConn(0, nil)
	if err != nil {
		return err
	}
	return errors.Join(fn(conn), conn.Close())
}

// runFirmware sends what the boot firmware sends, and returns before the
// operating system is due.
func (m *Machine) runFirmware(ctx context.Context, start time.Time) error {
	if !m.cfg.FirmwareARP && !m.cfg.FirmwareDHCP {
		return nil
	}
	if !wait.Until(ctx, start.Add(m.cfg.Firmware)) {
		return nil
	}
	return m.transmit(func(conn *packet.Conn) error {
		if m.cfg.FirmwareARP && m.Addr4().IsValid() {
			frame, err := announcement(m.cardMAC(), m.Addr4())
			if err != nil {
				return err
			}
			if err := m.writeFrame(conn, frame); err != nil {
				return err
			}
		}
		if !m.cfg.FirmwareDHCP {
			return nil
		}
		return m.discover(ctx, conn, start)
	})
}

func (m *Machine) discover(ctx context.Context, conn *packet.Conn, start time.Time) error {
	if err := m.writeFrame(conn, dhcpDiscover(m.cardMAC())); err != nil {
		return err
	}
	again := start.Add(m.cfg.Firmware + firmwareGap)
	if again.After(start.Add(m.cfg.Boot)) || !wait.Until(ctx, again) {
		return nil
	}
	return m.writeFrame(conn, dhcpDiscover(m.cardMAC()))
}

// dhcpDiscover builds a DHCPDISCOVER as of RFC 2131, sections 2 and 4.4.1.
func dhcpDiscover(mac ether.MAC) []byte {
	const (
		fixedPart  = 236
		flagsAt    = 10
		hardwareAt = 28
	)
	b := make([]byte, fixedPart)
	copy(b, []byte{1, 1, 6, 0})                     // BOOTREQUEST, Ethernet, 6 bytes of address
	copy(b[4:], mac[2:])                            // transaction: anything of its own
	binary.BigEndian.PutUint16(b[flagsAt:], 0x8000) // answer by broadcast
	copy(b[hardwareAt:], mac[:])
	b = append(b, 99, 130, 83, 99) // the options' magic cookie
	b = append(b, 53, 1, 1)        // message type: DHCPDISCOVER
	b = append(b, 255)             // end
	src := netip.AddrPortFrom(netip.IPv4Unspecified(), dhcpClientPort)
	dst := netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), dhcpServerPort)
	return udpFrame(ether.Broadcast, mac, src, dst, b)
}

// probeARP asks whether somebody uses ip (RFC 5227, section 2.1.1).
func (m *Machine) probeARP(ctx context.Context, ip netip.Addr) (used bool, err error) {
	conn, err := m.packetConn(int(ethernet.EtherTypeARP), nil)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	probe := arpMessage{op: arpRequest, senderMAC: m.mac, senderIP: netip.IPv4Unspecified(), targetIP: ip}
	for range arpProbes {
		if err := m.writeFrame(conn, probe.frame(ether.Broadcast)); err != nil {
			return false, err
		}
		used, err := m.objection(conn, ip, time.Now().Add(arpProbeInterval))
		if used || err != nil {
			return used, err
		}
	}
	return false, nil
}

// objection reads until the deadline and tells whether somebody else claims
// ip or probes for it too.
func (m *Machine) objection(conn *packet.Conn, ip netip.Addr, deadline time.Time) (bool, error) {
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
		if !ok || a.senderMAC == m.mac {
			continue
		}
		probing := a.senderIP.IsUnspecified() && a.targetIP == ip && a.op == arpRequest
		if a.senderIP == ip || probing {
			return true, nil
		}
	}
}

// LateFrame sends one last frame of the shutdown although the machine is
// asleep: an ARP request for the router, from its address; with IPv6 only, a
// neighbour solicitation.
func (m *Machine) LateFrame() error {
	gw := gateways()
	if src := m.Addr4(); src.IsValid() {
		request := arpMessage{op: arpRequest, senderMAC: m.mac, senderIP: src, targetIP: gw[0]}
		return m.SendFrame(request.frame(ether.Broadcast))
	}
	group, err := ndp.SolicitedNodeMulticast(gw[1])
	if err != nil {
		return err
	}
	frame, err := ndpFrame(multicastMAC(group), m.mac, group, m.Addr6(), &ndp.NeighborSolicitation{
		TargetAddress: gw[1],
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: net.HardwareAddr(m.mac[:])}},
	})
	if err != nil {
		return err
	}
	return m.SendFrame(frame)
}
