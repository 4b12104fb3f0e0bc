package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// TestFieldKeepAlive: Windows and BSD check an idle connection with a byte that has been
// acknowledged already. That byte is no data and does not wake, however often it comes. The
// first byte of data does.
func TestFieldKeepAlive(t *testing.T) {
	t.Parallel()
	for _, in := range settings {
		for _, ip := range []netip.Addr{nas4, nas6} {
			for _, data := range []byte{0, 'x'} { // Windows sends a zero, BSD the byte that was sent
				t.Run(fmt.Sprintf("%s/%v/%q", in.name, ip, data), func(t *testing.T) {
					variantUnless(t, in.name == "registered" && (data == 0 || ip == nas4))
					s := openMachineIn(t, in, fieldProbe+"wake: {established: true}\n", func(c *lab.MachineConfig) { c.Suspend = true })
					s.wantKeepAliveIgnored(ip, data)
				})
			}
		}
	}
}

func (s *machineTest) wantKeepAliveIgnored(ip netip.Addr, data byte) {
	s.Helper()
	client, porter := s.lan.Client(), s.lan.Porter()
	atClient := s.capturePort(client)
	old := s.call(client, s.nas, ip, 22)
	wantEcho(s.harness, old.conn, 1)
	ask := s.keepAlive(atClient, old, data)
	s.sleepClaimed()
	s.waitNeighbor(client, ip, porter.MAC())
	n := s.daemon.Log.Len()
	atPorter := s.capturePort(porter)
	for range 5 {
		s.must(client.SendFrame(ask))
		wantNoLine(s.harness, 700*time.Millisecond, n, "a keep-alive woke it", labdaemon.Moved("nas", "", "waking", ""))
	}
	seen := 0
	_, err := atPorter.Wait(s.within(time.Second), func(f lab.Frame) bool {
		if carriesData(old.from, old.to)(f) {
			seen++
		}
		return seen == 5
	})
	if err != nil {
		s.Fatalf("the porter saw %d of 5 keep-alives, so the test checks nothing", seen)
	}

	// One byte of data, as a terminal sends it.
	s.must(old.conn.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err = old.conn.Write([]byte("y"))
	s.must(err)
	began := s.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
	if source, _, _ := cutKnock(began.Field("knock")); source != old.from {
		s.Errorf("woken by %q, and the connection is %v's", began.Field("knock"), old.from)
	}
	back := make([]byte, 1)
	_, err = io.ReadFull(old.conn, back)
	s.must(err)
	if string(back) != "y" {
		s.Errorf("the connection says %q", back)
	}
}

// keepAlive returns a frame to the porter with the last byte that was sent on a connection: at
// the sequence number before the next one, acknowledging all, and without PSH (RFC 9293 section
// 3.8.4).
func (s *machineTest) keepAlive(atClient *lab.Capture, c *call, data byte) []byte {
	s.Helper()
	ours := func(f lab.Frame) bool { return f.Outgoing && isSegment(f, c.from, c.to, flagACK) }
	hasData := func(f lab.Frame) bool {
		f.Outgoing = false // as it arrives
		return carriesData(c.from, c.to)(f)
	}
	sent, err := atClient.Wait(s.within(time.Second), func(f lab.Frame) bool { return ours(f) && hasData(f) })
	s.must(err)
	// The acknowledgment of the echo follows the byte, with the next sequence number.
	acknowledged, err := atClient.Wait(s.within(time.Second), func(f lab.Frame) bool { return ours(f) && !hasData(f) && f.Time.After(sent.Time) })
	s.must(err)
	var last, ack lan.Packet
	if last.Parse(sent.Data) != lan.Accepted || ack.Parse(acknowledged.Data) != lan.Accepted {
		s.Fatal("the connection's frames cannot be read")
	}
	segment, newer := last.Frame[last.Transport:], ack.Frame[ack.Transport:]
	if next := binary.BigEndian.Uint32(newer[4:]); binary.BigEndian.Uint32(segment[4:]) != next-1 {
		s.Fatalf("the last byte has the number %d, the next %d", binary.BigEndian.Uint32(segment[4:]), next)
	}
	copy(segment[8:12], newer[8:12]) // the acknowledgment number
	segment[13] = flagACK
	header := int(segment[12]>>4) * 4
	segment[header] = data
	last.Sum = lan.Unfinished
	var frame []byte
	s.must(lan.Forward(&last, s.lan.Client().MAC(), s.lan.Porter().MAC(), 1500, func(b []byte) error {
		frame = append(frame, b...)
		return nil
	}))
	return frame
}
