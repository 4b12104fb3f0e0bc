package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/wait"

	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
)

const (
	dhcpServerPort = 67
	dhcpClientPort = 68
	// firmwareGap is the pause between the firmware's two DHCPDISCOVER; a
	// real one waits seconds.
	firmwareGap = 100 * time.Millisecond
)

// transmit lends fn a packet socket for sending.
func (m *Machine) transmit(fn func(*packet.Conn) error) error {
	conn, err := m.packetConn(0, nil)
	if err != nil {
		return err
	}
	return errors.Join(fn(conn), conn.Close())
}

// bootFirmware is what runs in a machine between power-on and its operating system.
type bootFirmware struct{ *Machine }

// run sends what the boot firmware sends, and returns before the
// operating system is due.
func (f bootFirmware) run(ctx context.Context, start time.Time) error {
	if !f.cfg.FirmwareARP && !f.cfg.FirmwareDHCP {
		return nil
	}
	if !wait.Until(ctx, start.Add(f.cfg.Firmware)) {
		return nil
	}
	return f.transmit(func(conn *packet.Conn) error {
		if f.cfg.FirmwareARP && f.Addr4().IsValid() {
			frame, err := announcement(f.cardMAC(), f.Addr4())
			if err != nil {
				return err
			}
			if err := f.writeFrame(conn, frame); err != nil {
				return err
			}
		}
		if !f.cfg.FirmwareDHCP {
			return nil
		}
		return f.discover(ctx, conn, start)
	})
}

func (f bootFirmware) discover(ctx context.Context, conn *packet.Conn, start time.Time) error {
	if err := f.writeFrame(conn, dhcpDiscover(f.cardMAC())); err != nil {
		return err
	}
	again := start.Add(f.cfg.Firmware + firmwareGap)
	if again.After(start.Add(f.cfg.Boot)) || !wait.Until(ctx, again) {
		return nil
	}
	return f.writeFrame(conn, dhcpDiscover(f.cardMAC()))
}

// dhcpDiscover builds a DHCPDISCOVER as of RFC 2131 sections 2 and 4.4.1.
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

// LateFrame sends one last frame of the shutdown although the machine is
// asleep: an ARP request for the router, from its address; with IPv6 only, a
// neighbor solicitation.
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
