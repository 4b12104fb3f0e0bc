package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"nightporter/internal/netns"
)

const (
	// captureFrames bounds what one capture keeps.
	captureFrames = 1 << 18
	// captureBuffer is the socket's receive buffer in bytes.
	captureBuffer = 4 << 20
	frameBuffer   = 1 << 16
)

// A Capture records every frame that passes an interface. Frames are complete:
// a VLAN tag that the kernel took off is put back.
type Capture struct {
	sock   *socket.Conn
	cancel context.CancelFunc
	done   chan struct{}
	invert bool // the interface is the switch's: what comes in, the host sent

	mu      sync.Mutex
	frames  []Frame
	dropped int
	err     error
	changed chan struct{} // closed at the next frame, or the end
}

// Capture starts to record the frames on the host's interface, until Close,
// the end of ctx or of the LAN. Frames sent past the kernel's queues
// (PACKET_QDISC_BYPASS) are only seen by CapturePort.
func (h *Host) Capture(ctx context.Context) (*Capture, error) {
	c, err := h.lan.capture(ctx, h.ns, Interface, false, nil)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.name, err)
	}
	return c, nil
}

// CapturePort is Capture at the switch's end of the host's cable. Outgoing is
// still as the host sees it. With a filter, a program of classic BPF, it records
// only the frames that this accepts.
func (l *LAN) CapturePort(ctx context.Context, h *Host, filter ...bpf.RawInstruction) (*Capture, error) {
	if h.port == "" {
		return nil, fmt.Errorf("host %s: capture: it is not on the switch", h.name)
	}
	c, err := l.capture(ctx, l.fabric, h.port, true, filter)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.name, err)
	}
	return c, nil
}

func (l *LAN) capture(ctx context.Context, ns *netns.Namespace, name string, invert bool, filter []bpf.RawInstruction) (*Capture, error) {
	c := &Capture{done: make(chan struct{}), invert: invert, changed: make(chan struct{})}
	err := ns.Do(func() (err error) {
		c.sock, err = captureSocket(name, filter)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("capture on %s: %w", name, err)
	}
	ctx, c.cancel = context.WithCancel(ctx)
	ok := l.start(func() {
		defer close(c.done)
		defer c.cancel()
		stop := context.AfterFunc(l.ctx, c.cancel)
		defer stop()
		// A deadline ends the reading; the socket is still good for its statistics.
		wake := context.AfterFunc(ctx, func() { c.sock.SetReadDeadline(time.Unix(0, 1)) })
		defer wake()
		err := c.record()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		c.finish(err)
	})
	if !ok {
		c.cancel()
		return nil, errors.Join(fmt.Errorf("capture on %s: %w", name, errClosed), c.sock.Close())
	}
	return c, nil
}

func captureSocket(name string, filter []bpf.RawInstruction) (*socket.Conn, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	// Protocol 0 until it is bound: nothing from other interfaces gets in.
	s, err := socket.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0, "capture", nil)
	if err != nil {
		return nil, err
	}
	if len(filter) > 0 {
		err = s.SetBPF(filter)
	}
	if err == nil {
		err = prepareCapture(s, ifi.Index)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func prepareCapture(s *socket.Conn, index int) error {
	if err := s.SetReadBuffer(captureBuffer); err != nil {
		return fmt.Errorf("set receive buffer: %w", err)
	}
	if err := s.SetsockoptInt(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("ask for timestamps: %w", err)
	}
	if err := s.SetsockoptInt(unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return fmt.Errorf("ask for VLAN tags: %w", err)
	}
	promisc := &unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := s.SetsockoptPacketMreq(unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, promisc); err != nil {
		return fmt.Errorf("set promiscuous mode: %w", err)
	}
	all := binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)
	addr := &unix.SockaddrLinklayer{Ifindex: index, Protocol: binary.NativeEndian.Uint16(all)}
	if err := s.Bind(addr); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

func (c *Capture) record() error {
	buf, oob := make([]byte, frameBuffer), make([]byte, 512)
	for {
		n, oobn, _, from, err := c.sock.Recvmsg(context.Background(), buf, oob, 0)
		if errors.Is(err, unix.ENETDOWN) {
			continue // reported once when the interface goes down; it may come back
		}
		if err != nil {
			return err
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok {
			continue
		}
		data := slices.Clone(buf[:n])
		f := Frame{Outgoing: (ll.Pkttype == unix.PACKET_OUTGOING) != c.invert}
		f.Time, f.Data = ancillary(oob[:oobn], data)
		c.add(f)
	}
}

// ancillary reads the kernel's timestamp and puts a VLAN tag back. Without a
// timestamp it takes the time of now.
func ancillary(oob, data []byte) (time.Time, []byte) {
	at := time.Now()
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return at, data
	}
	for _, m := range msgs {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS:
			at = timespec(m.Data, at)
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA:
			data = restoreVLAN(m.Data, data)
		}
	}
	return at, data
}

// timespec reads a struct timespec, whose fields have the size of a long.
func timespec(b []byte, otherwise time.Time) time.Time {
	switch len(b) {
	case 16:
		return time.Unix(int64(binary.NativeEndian.Uint64(b)), int64(binary.NativeEndian.Uint64(b[8:])))
	case 8:
		return time.Unix(int64(binary.NativeEndian.Uint32(b)), int64(binary.NativeEndian.Uint32(b[4:])))
	}
	return otherwise
}

// restoreVLAN inserts the tag that the kernel moved from the frame into struct
// tpacket_auxdata (packet(7)).
func restoreVLAN(aux, data []byte) []byte {
	const size, tciAt, tpidAt = 20, 16, 18
	if len(aux) < size || len(data) < ethernetHeader {
		return data
	}
	status := binary.NativeEndian.Uint32(aux)
	if status&unix.TP_STATUS_VLAN_VALID == 0 {
		return data
	}
	tpid := uint16(unix.ETH_P_8021Q)
	if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = binary.NativeEndian.Uint16(aux[tpidAt:])
	}
	tag := binary.BigEndian.AppendUint16(nil, tpid)
	tag = binary.BigEndian.AppendUint16(tag, binary.NativeEndian.Uint16(aux[tciAt:]))
	return slices.Insert(data, 12, tag...)
}

func (c *Capture) add(f Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.frames) >= captureFrames {
		c.dropped++
		return
	}
	c.frames = append(c.frames, f)
	close(c.changed)
	c.changed = make(chan struct{})
}

// finish adds the kernel's count of lost frames and wakes who still waits.
func (c *Capture) finish(err error) {
	stats, statsErr := c.sock.GetsockoptTpacketStats(unix.SOL_PACKET, unix.PACKET_STATISTICS)
	closeErr := c.sock.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if statsErr == nil {
		c.dropped += int(stats.Drops)
	}
	c.err = errors.Join(fmt.Errorf("the capture has ended: %w", err), closeErr)
	close(c.changed)
}

// Frames returns what was recorded so far, in the order of passing.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.frames)
}

// Wait returns the first recorded frame that match accepts, and waits for it
// if there is none yet. It fails when ctx or the capture ends before.
func (c *Capture) Wait(ctx context.Context, match func(Frame) bool) (Frame, error) {
	for seen := 0; ; {
		frames, changed, ended := c.since(seen)
		for _, f := range frames {
			if match(f) {
				return f, nil
			}
		}
		seen += len(frames)
		if ended != nil {
			return Frame{}, fmt.Errorf("wait for a frame, none of %d is it: %w", seen, ended)
		}
		select {
		case <-ctx.Done():
			return Frame{}, fmt.Errorf("wait for a frame, none of %d is it: %w", seen, context.Cause(ctx))
		case <-changed:
		}
	}
}

// since returns the frames from index on, the signal of the next one, and why
// there will be none.
func (c *Capture) since(index int) ([]Frame, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames[index:len(c.frames):len(c.frames)], c.changed, c.err
}

// Close ends the capture and returns how many frames it missed because of missing
// room. What was recorded stays readable.
func (c *Capture) Close() (missed int) {
	c.cancel()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}
