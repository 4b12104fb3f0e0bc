package lab_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
)

// magicBytes is a magic packet's synchronisation stream and password.
func magicBytes(mac ether.MAC, password ...byte) []byte {
	b := bytes.Repeat([]byte{0xff}, 6)
	b = append(b, bytes.Repeat(mac[:], 16)...)
	return append(b, password...)
}

func ethernetFrame(dst ether.MAC, etherType uint16, payload []byte) []byte {
	src := ether.MAC{0x02, 0x77, 0, 0, 0, 2}
	b := append(append([]byte{}, dst[:]...), src[:]...)
	return append(binary.BigEndian.AppendUint16(b, etherType), payload...)
}

func magicFrame(dst, mac ether.MAC, password ...byte) []byte {
	return ethernetFrame(dst, 0x0842, magicBytes(mac, password...))
}

func sendFrame(t *testing.T, h *lab.Host, frame []byte) {
	t.Helper()
	if err := h.SendFrame(frame); err != nil {
		t.Fatal(err)
	}
}

// sendUDP sends by the kernel, as a program would.
func sendUDP(t *testing.T, h *lab.Host, to string, payload []byte) {
	t.Helper()
	pc, err := h.ListenPacket(context.Background(), "udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	addr, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pc.WriteTo(payload, addr); err != nil {
		t.Fatal(err)
	}
}
