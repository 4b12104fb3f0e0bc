package lab_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
)

func TestCaptureSeesBothDirections(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	atHost, err := l.Client().Capture(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	atPort, err := l.CapturePort(testContext(t), l.Client())
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	foreign := ether.MAC{0x02, 0x77, 0, 0, 0, 0x63} // a switch floods what it does not know
	out := ethernetFrame(ether.Broadcast, 0x88b5, []byte("out"))
	in := ethernetFrame(foreign, 0x88b5, []byte("in"))
	tagged := ethernetFrame(ether.Broadcast, 0x8100, append([]byte{0xe0, 0x05, 0x88, 0xb5}, "tagged"...))
	sendFrame(t, l.Client(), out)
	sendFrame(t, l.Porter(), in)
	sendFrame(t, l.Porter(), tagged)
	for _, c := range []*lab.Capture{atHost, atPort} {
		for _, want := range []struct {
			data     []byte
			outgoing bool
		}{{out, true}, {in, false}, {tagged, false}} {
			f, err := c.Wait(testContext(t), func(f lab.Frame) bool { return bytes.HasPrefix(f.Data, want.data) })
			if err != nil {
				t.Fatal(err)
			}
			if f.Outgoing != want.outgoing {
				t.Errorf("%s: outgoing is %t, want %t", f, f.Outgoing, want.outgoing)
			}
			if f.Time.Before(before.Add(-time.Second)) || f.Time.After(time.Now()) {
				t.Errorf("%s: time %s, want about %s", f, f.Time, before)
			}
		}
		if missed := c.Close(); missed != 0 {
			t.Errorf("the capture missed %d frames", missed)
		}
	}
}

func TestCaptureEnds(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := l.Client().Capture(ctx)
	if err != nil {
		t.Fatal(err)
	}
	never := func(lab.Frame) bool { return false }
	short, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	if _, err := c.Wait(short, never); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait for a frame that never comes: %v, want a timeout", err)
	}
	cancel()
	if _, err := c.Wait(testContext(t), never); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait on a capture whose context has ended: %v", err)
	}
	c.Close()
	c.Close()
	if _, err := l.CapturePort(t.Context(), l.Outside()); err == nil {
		t.Error("the outside has no port at the switch, but CapturePort took it")
	}
}

func TestShortFramesAreNoFrames(t *testing.T) {
	t.Parallel()
	f := lab.Frame{Data: make([]byte, 13)}
	if f.Dst() != (ether.MAC{}) || f.Src() != (ether.MAC{}) || f.EtherType() != 0 || f.Payload() != nil {
		t.Errorf("a frame of 13 bytes reads as %s", f)
	}
	l := newLAN(t)
	if err := l.Client().SendFrame(f.Data); err == nil {
		t.Error("SendFrame took a frame of 13 bytes")
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	addMachine(t, l, nas())
	addr, err := l.Proxy(l.Porter(), "10.77.0.20:22")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		conn, err := net.Dial(addr.Network(), addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, want := read(t, conn, 100), lab.Banner("nas")+"hello"; got != want {
			t.Errorf("through the proxy came %q, want %q", got, want)
		}
	}
	closed, err := l.Proxy(l.Porter(), "10.77.0.20:23")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", closed.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := read(t, conn, 1); got != "" {
		t.Errorf("through a proxy to a closed port came %q", got)
	}
	open, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	read(t, open, len(lab.Banner("nas")))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", addr.String()); err == nil {
		t.Error("the proxy outlives its LAN")
	}
}
