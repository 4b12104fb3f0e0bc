package lan

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The kernel passes nothing else on than neighbors that were not found.
func TestUnresolvedFilter(t *testing.T) {
	vm, err := bpf.NewVM(unresolvedFilter())
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []uint16{unix.NUD_INCOMPLETE, unix.NUD_REACHABLE, unix.NUD_STALE, unix.NUD_FAILED, unix.NUD_PERMANENT} {
		message := make([]byte, unix.SizeofNlMsghdr+neighborHeader)
		binary.NativeEndian.PutUint16(message[unix.SizeofNlMsghdr+offNeighborState:], state)
		if n, err := vm.Run(message); err != nil || (n > 0) != (state == unix.NUD_FAILED) {
			t.Errorf("state %#x: %d octets pass, %v", state, n, err)
		}
	}
}

// FuzzUnresolved: an address that was not found is read, whatever else is said of it; of
// other states nothing is, and garbage does no harm.
func FuzzUnresolved(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWNEIGH), uint32(7), uint16(unix.NUD_FAILED), []byte{192, 0, 2, 5}, uint16(unix.NDA_CACHEINFO), []byte("x"))
	f.Add(uint16(unix.RTM_NEWNEIGH), uint32(7), uint16(unix.NUD_STALE), make([]byte, 16), uint16(unix.NDA_PROBES), []byte{})
	f.Add(uint16(unix.RTM_DELNEIGH), uint32(0), uint16(unix.NUD_FAILED), []byte{1}, uint16(unix.NDA_LLADDR), []byte{1})
	f.Fuzz(func(t *testing.T, kind uint16, index uint32, state uint16, dst []byte, otherType uint16, other []byte) {
		if otherType &= 0x3fff; otherType == unix.NDA_DST {
			otherType = unix.NDA_PROBES
		}
		head := make([]byte, neighborHeader)
		binary.NativeEndian.PutUint32(head[offNeighborIndex:], index)
		binary.NativeEndian.PutUint16(head[offNeighborState:], state)
		body, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: otherType, Data: other}, {Type: unix.NDA_DST, Data: dst}})
		if err != nil {
			return // an attribute that is too long
		}
		message := func(data []byte) netlink.Message {
			return netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: data}
		}
		want, is := netip.AddrFromSlice(dst)
		is = is && kind == unix.RTM_NEWNEIGH && state == unix.NUD_FAILED
		got, ip, ok := unresolved(message(append(head, body...)))
		if ok != is || ok && (ip != want || got != int(index)) {
			t.Errorf("read %v on %d, %t; want %v on %d, %t", ip, got, ok, want, index, is)
		}
		unresolved(message(other))
		unresolved(message(append(head[:neighborHeader:neighborHeader], other...)))
	})
}
