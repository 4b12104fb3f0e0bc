package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

// A Forger sends frames with another host's MAC: a bridge that reflects, a clone,
// an attacker. The switch learns from such a frame, as a real one does: what is
// sent to that MAC alone reaches the forger until its owner sends a frame again.
type Forger struct {
	host *Host
	mac  ether.MAC
}

// Forge returns the means to send frames from the host's interface as mac.
func (h *Host) Forge(mac ether.MAC) Forger { return Forger{h, mac} }

// Frame sends a payload of any type.
func (f Forger) Frame(dst ether.MAC, typ ethernet.EtherType, payload []byte) error {
	return f.host.SendFrame(buildFrame(dst, f.mac, typ, payload))
}

// ARPRequest broadcasts a request for an address, with another one as its sender.
func (f Forger) ARPRequest(from, to netip.Addr) error {
	m := arpMessage{op: arpRequest, senderMAC: f.mac, senderIP: from, targetIP: to}
	return f.host.SendFrame(m.frame(ether.Broadcast))
}

// ARPReply broadcasts that an address is at the forged MAC.
func (f Forger) ARPReply(ip netip.Addr) error {
	m := arpMessage{op: arpReply, senderMAC: f.mac, senderIP: ip, targetMAC: ether.Broadcast, targetIP: ip}
	return f.host.SendFrame(m.frame(ether.Broadcast))
}

// ARPProbe tests an address as its next owner does (RFC 5227 section 2.1.1).
func (f Forger) ARPProbe(ip netip.Addr) error {
	return f.ARPRequest(netip.IPv4Unspecified(), ip)
}

// Solicit sends a solicitation for an IPv6 address, with another one as its source.
func (f Forger) Solicit(from, to netip.Addr) error {
	return f.solicit(from, to, &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: net.HardwareAddr(f.mac[:])})
}

// TestAddress is duplicate address detection of an IPv6 address (RFC 4862,
// section 5.4).
func (f Forger) TestAddress(ip netip.Addr) error {
	return f.solicit(netip.IPv6Unspecified(), ip)
}

func (f Forger) solicit(from, to netip.Addr, options ...ndp.Option) error {
	group, err := ndp.SolicitedNodeMulticast(to)
	if err != nil {
		return err
	}
	frame, err := ndpFrame(multicastMAC(group), f.mac, group, from, &ndp.NeighborSolicitation{TargetAddress: to, Options: options})
	if err != nil {
		return err
	}
	return f.host.SendFrame(frame)
}

// Advertise announces to all nodes that an IPv6 address is at the forged MAC.
func (f Forger) Advertise(ip netip.Addr) error {
	all := netip.IPv6LinkLocalAllNodes()
	frame, err := advertisement(f.mac, ip, all, multicastMAC(all), false)
	if err != nil {
		return err
	}
	return f.host.SendFrame(frame)
}

// Datagram sends UDP between two addresses of one family, to the host at dst.
func (f Forger) Datagram(dst ether.MAC, from, to netip.AddrPort, payload []byte) error {
	if from.Addr().Is4() != to.Addr().Is4() {
		return fmt.Errorf("host %s: datagram from %s to %s: want one family", f.host.name, from, to)
	}
	if from.Addr().Is4() {
		return f.host.SendFrame(udpFrame(dst, f.mac, from, to, payload))
	}
	return f.host.SendFrame(udp6Frame(dst, f.mac, from, to, payload))
}

// udp6Frame is udpFrame for IPv6.
func udp6Frame(dstMAC, srcMAC ether.MAC, src, dst netip.AddrPort, payload []byte) []byte {
	s, d := src.Addr().As16(), dst.Addr().As16()
	udp := binary.BigEndian.AppendUint16(nil, src.Port())
	udp = binary.BigEndian.AppendUint16(udp, dst.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(udpHeader+len(payload)))
	udp = append(append(udp, 0, 0), payload...)
	sum := checksum6(s, d, protocolUDP, udp)
	if sum == 0 {
		sum = 0xffff // IPv6 has no "no checksum" (RFC 8200 section 8.1)
	}
	binary.BigEndian.PutUint16(udp[6:], sum)

	ip := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(udp)))
	ip = append(ip, protocolUDP, 64)
	ip = append(append(append(ip, s[:]...), d[:]...), udp...)
	return buildFrame(dstMAC, srcMAC, ethernet.EtherTypeIPv6, ip)
}

// checksum6 is the checksum of an upper layer over IPv6 (RFC 8200 section 8.1).
func checksum6(src, dst [16]byte, protocol byte, body []byte) uint16 {
	pseudo := append(append([]byte{}, src[:]...), dst[:]...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(body)))
	return checksum(append(pseudo, 0, 0, 0, protocol), body)
}

// A Flood is a host that sends frames as fast as it can.
type Flood struct {
	cancel context.CancelFunc
	done   chan struct{}
	sent   atomic.Uint64
	err    error // after done
}

// floodBurst is how many frames go out between two looks at the clock.
const floodBurst = 64

// Flood sends what next returns, over and over, until Stop or the end of the LAN:
// at most rate frames a second, or with 0 as many as the host can. next fills the
// buffer that it gets, and returns the frame in it.
func (h *Host) Flood(rate int, next func(buffer []byte) []byte) (*Flood, error) {
	fd := -1
	err := h.ns.Do(func() (err error) {
		fd, err = floodSocket()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: flood: %w", h.name, err)
	}
	f := &Flood{done: make(chan struct{})}
	ctx, cancel := context.WithCancel(h.lan.ctx)
	f.cancel = cancel
	ok := h.lan.start(func() {
		defer close(f.done)
		defer unix.Close(fd) // nothing was written that could be lost
		f.err = f.run(ctx, fd, rate, next)
	})
	if !ok {
		cancel()
		return nil, errors.Join(fmt.Errorf("host %s: flood: %w", h.name, errClosed), unix.Close(fd))
	}
	return f, nil
}

func floodSocket() (int, error) {
	ifi, err := net.InterfaceByName(Interface)
	if err != nil {
		return -1, err
	}
	// Protocol 0: the socket is for sending only.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index}); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func (f *Flood) run(ctx context.Context, fd, rate int, next func([]byte) []byte) error {
	buffer := make([]byte, frameBuffer)
	began := time.Now()
	for ctx.Err() == nil {
		for range floodBurst {
			_, err := unix.Write(fd, next(buffer))
			if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				return err
			}
			f.sent.Add(1)
		}
		if rate > 0 {
			due := time.Duration(f.sent.Load()) * time.Second / time.Duration(rate)
			if ahead := due - time.Since(began); ahead > 0 {
				time.Sleep(ahead)
			}
		}
	}
	return nil
}

// Sent returns how many frames the flood has sent so far.
func (f *Flood) Sent() uint64 { return f.sent.Load() }

// Stop ends the flood. An error means that it had ended before.
func (f *Flood) Stop() error {
	f.cancel()
	<-f.done
	return f.err
}
