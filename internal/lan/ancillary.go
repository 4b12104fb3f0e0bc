package lan

import (
	"encoding/binary"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// struct __kernel_timespec: two 64-bit words on every architecture.
	timespecLength = 16

	// Room for the control messages that a socket asks for, a timestamp and a
	// struct tpacket_auxdata, in words of 64 bits.
	controlWords = 12
)

// ancillary returns what the control messages of the last frame say: when it was
// received, and what is known of its checksum.
func (r *reader) ancillary() (received time.Time, sum Checksum) {
	control := (*[unsafe.Sizeof(r.control)]byte)(unsafe.Pointer(&r.control))
	rest := control[:min(int(r.msg.Controllen), len(control))]
	for len(rest) >= unix.CmsgLen(0) {
		header := (*unix.Cmsghdr)(unsafe.Pointer(&rest[0]))
		length := int(header.Len)
		if length < unix.CmsgLen(0) || length > len(rest) {
			break
		}
		data := rest[unix.CmsgLen(0):length]
		switch {
		case header.Level == unix.SOL_SOCKET && header.Type == unix.SO_TIMESTAMPNS_NEW && len(data) >= timespecLength:
			seconds := int64(binary.NativeEndian.Uint64(data))
			nanoseconds := int64(binary.NativeEndian.Uint64(data[8:]))
			received = time.Unix(seconds, nanoseconds)
		case header.Level == unix.SOL_PACKET && header.Type == unix.PACKET_AUXDATA && len(data) >= 4:
			sum = checksumOf(binary.NativeEndian.Uint32(data)) // tp_status comes first
		}
		rest = rest[min(unix.CmsgSpace(len(data)), len(rest)):]
	}
	return received, sum
}

// checksumOf returns what the status of a frame says of its checksum (packet(7),
// PACKET_AUXDATA).
func checksumOf(status uint32) Checksum {
	switch {
	case status&unix.TP_STATUS_CSUMNOTREADY != 0:
		return Unfinished
	case status&unix.TP_STATUS_CSUM_VALID != 0:
		return Verified
	}
	return Unchecked
}
