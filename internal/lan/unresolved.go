package lan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"nightporter/internal/wait"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// UnresolvedTime is the longest time by default between the last packet to a neighbor and
// the failure of its resolution: up to 5 s until its entry is stale, 5 s in state DELAY,
// and three probes a second apart (arp(7): delay_first_probe_time, ucast_solicit,
// retrans_time_ms).
const UnresolvedTime = 13 * time.Second

// Unresolved is a subscription to the neighbors that the kernel of the host could not
// resolve, when a program of the host sends to them or the host forwards a packet. Unlike
// an Outgoing it costs no CPU time per packet.
type Unresolved struct {
	log  *slog.Logger
	conn *netlink.Conn
}

// WatchUnresolved subscribes in the network namespace of the calling thread.
func WatchUnresolved(log *slog.Logger) (*Unresolved, error) {
	conn, err := subscribeUnresolved()
	if err != nil {
		return nil, err
	}
	return &Unresolved{log: log, conn: conn}, nil
}

func subscribeUnresolved() (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: unix.RTMGRP_NEIGH})
	if err != nil {
		return nil, fmt.Errorf("subscribe to neighbor changes: %w", err)
	}
	filter, err := bpf.Assemble(unresolvedFilter())
	if err == nil {
		err = conn.SetBPF(filter)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to neighbor changes: %w", err), conn.Close())
	}
	return conn, nil
}

// Offsets in a struct ndmsg (rtnetlink(7)).
const (
	offNeighborIndex = 4
	offNeighborState = 8
	neighborHeader   = unix.SizeofNdMsg
)

// unresolvedFilter passes only messages about a failed resolution. A busy LAN has many
// other neighbor messages.
func unresolvedFilter() []bpf.Instruction {
	// The filter reads in network byte order what the kernel writes in host byte order.
	failed := binary.NativeEndian.AppendUint16(nil, unix.NUD_FAILED)
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: unix.SizeofNlMsghdr + offNeighborState, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(binary.BigEndian.Uint16(failed)), SkipFalse: 1},
		bpf.RetConstant{Val: wholeFrame},
		bpf.RetConstant{Val: 0},
	}
}

// Close ends the subscription. Run must not be active.
func (u *Unresolved) Close() error {
	if u.conn == nil {
		return nil
	}
	return u.conn.Close()
}

// Run calls tell for each neighbor that was not resolved, with the index of its
// interface, until ctx ends. After a failure it subscribes again; events in between are
// lost.
func (u *Unresolved) Run(ctx context.Context, tell func(index int, ip netip.Addr)) {
	for failing := false; ; failing = true {
		err := u.follow(ctx, tell)
		if ctx.Err() != nil {
			return
		}
		if !failing {
			u.log.Warn("cannot see which neighbors the kernel does not find", "event", "neighbors_unseen", "err", err)
		}
		if !wait.For(ctx, redialPause) {
			return
		}
	}
}

func (u *Unresolved) follow(ctx context.Context, tell func(int, netip.Addr)) error {
	if u.conn == nil {
		conn, err := subscribeUnresolved()
		if err != nil {
			return err
		}
		u.conn = conn
	}
	conn := u.conn
	defer breakOff(ctx, conn)()
	for ctx.Err() == nil {
		messages, err := conn.Receive()
		if err != nil && !errors.Is(err, unix.ENOBUFS) { // netlink(7): messages were dropped
			u.conn = nil
			return errors.Join(err, conn.Close())
		}
		for _, m := range messages {
			if index, ip, ok := unresolved(m); ok {
				tell(index, ip)
			}
		}
	}
	return nil
}

// unresolved parses a message, and reports whether it is about a neighbor that was not
// resolved.
func unresolved(m netlink.Message) (index int, ip netip.Addr, ok bool) {
	if m.Header.Type != unix.RTM_NEWNEIGH || len(m.Data) < neighborHeader ||
		binary.NativeEndian.Uint16(m.Data[offNeighborState:]) != unix.NUD_FAILED {
		return 0, netip.Addr{}, false
	}
	attributes, err := netlink.NewAttributeDecoder(m.Data[neighborHeader:])
	if err != nil {
		return 0, netip.Addr{}, false
	}
	for attributes.Next() {
		if attributes.Type() == unix.NDA_DST {
			ip, ok = netip.AddrFromSlice(attributes.Bytes())
		}
	}
	return word(m.Data[offNeighborIndex:]), ip, ok && attributes.Err() == nil
}
