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

// UnresolvedTime is how long ago the last packet was, at most, for which the kernel gives
// up a neighbour, by default: up to 5 s before its entry goes bad, 5 s in which it still
// believes the entry, and three questions a second apart (arp(7):
// delay_first_probe_time, ucast_solicit, retrans_time_ms).
const UnresolvedTime = 13 * time.Second

// Unresolved is a subscription to the neighbours that the host's kernel has looked for in
// vain: a program of the host has sent something to them, or the host forwards it. It
// costs nothing for each packet, unlike an Outgoing.
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

// unresolvedFilter passes what says that a neighbour was not found. A busy LAN has many
// other news of neighbours.
func unresolvedFilter() []bpf.Instruction {
	// The filter reads in network order what the kernel writes in its own.
	failed := binary.NativeEndian.AppendUint16(nil, unix.NUD_FAILED)
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: unix.SizeofNlMsghdr + offNeighborState, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(binary.BigEndian.Uint16(failed)), SkipFalse: 1},
		bpf.RetConstant{Val: wholeFrame},
		bpf.RetConstant{Val: 0},
	}
}

// Close ends the subscription. Run has ended, or was not called.
func (u *Unresolved) Close() error {
	if u.conn == nil {
		return nil
	}
	return u.conn.Close()
}

// Run calls tell for each neighbour that was not found, with the index of its interface,
// until ctx ends. A subscription that fails is opened anew; what happens meanwhile is
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

// unresolved reads a message that may say that a neighbour was not found.
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
