package lan_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/waittest"

	"github.com/jsimonetti/rtnetlink/v2"

	"nightporter/internal/lan"
)

// openLink opens an interface with all its sockets until the test ends.
func (n *namespace) openLink(name string, outgoing bool, before *lan.Link) *lan.Link {
	n.tb.Helper()
	var l *lan.Link
	n.do(func() (err error) {
		l, err = lan.OpenLink(name, outgoing, before, slog.New(slog.DiscardHandler))
		return err
	})
	n.tb.Cleanup(func() { _ = l.Close() }) // some tests close it themselves
	return l
}

// seen are the packets and errors that the readers of a link hand on.
type seen struct {
	received, sent chan string // the names of the frames
	failed         chan error
}

func listen(ctx context.Context, l *lan.Link) seen {
	s := seen{make(chan string, 1000), make(chan string, 1000), make(chan error, lan.LinkReaders)}
	name := func(to chan<- string) func(*lan.Packet) {
		return func(p *lan.Packet) {
			if at := bytes.LastIndexByte(p.Frame, '#'); at >= 0 {
				to <- string(p.Frame[at+1:])
			}
		}
	}
	l.Listen(ctx, lan.Handlers{Received: name(s.received), Sent: name(s.sent), Failed: func(err error) { s.failed <- err }})
	return s
}

// All sockets are read: that for packets, that for ARP, and that for our own host.
func TestLinkReadsAllItsSockets(t *testing.T) {
	porter, client := neighbors(t)
	l, far := porter.openLink("porter0", true, nil), client.open("client0")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := listen(ctx, l)
	if err := l.SetInterest(lan.Interest{Addrs: []netip.Addr{sleepy4}, Sent: []netip.Addr{sleepy4}}); err != nil {
		t.Fatal(err)
	}
	for _, frame := range [][]byte{named("arp", ethernetFrame(0x0806, arpBody(1)...)), named("packet", dst(porterMAC, to(sleepy4)))} {
		if err := far.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]bool{receive(t, "a frame", s.received): true, receive(t, "a frame", s.received): true}
	if !got["arp"] || !got["packet"] {
		t.Errorf("received %v", got)
	}
	// A program of the host sends, and its frame goes to a neighbor that is known.
	porter.do(func() error { return lan.SetNeighbor(l.Index(), sleepy4, sleepyMAC) })
	porter.do(func() error {
		c, err := net.Dial("udp", netip.AddrPortFrom(sleepy4, 9).String())
		if err != nil {
			return err
		}
		_, err = c.Write([]byte("#sent"))
		return errors.Join(err, c.Close())
	})
	if name := receive(t, "what the host sends", s.sent); name != "sent" {
		t.Errorf("the host sent %q", name)
	}
	cancel()
	if err := l.Wait(); err != nil || len(s.failed) != 0 {
		t.Errorf("at the end: %v, %d readers have failed", err, len(s.failed))
	}
}

// Frames are unread until a reader has received them, whatever their socket is.
func TestLinkUnread(t *testing.T) {
	porter, client := neighbors(t)
	l, far := porter.openLink("porter0", false, nil), client.open("client0")
	if err := l.SetInterest(lan.Interest{Addrs: []netip.Addr{sleepy4}}); err != nil {
		t.Fatal(err)
	}
	for _, frame := range [][]byte{named("arp", ethernetFrame(0x0806, arpBody(1)...)), named("packet", dst(porterMAC, to(sleepy4)))} {
		if l.Unread() {
			t.Error("a frame is unread before it was sent")
		}
		if err := far.Send(frame); err != nil {
			t.Fatal(err)
		}
		waittest.Until(t, "the frame is unread", l.Unread)
		ctx, cancel := context.WithCancel(t.Context())
		s := listen(ctx, l)
		receive(t, "a frame", s.received)
		cancel()
		if err := l.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil || l.Unread() {
		t.Errorf("closed: %v, unread %v", err, l.Unread())
	}
}

// A new link says with what it was opened, and goes on with the counts of the one
// before it.
func TestLinkGoesOnWithTheCounts(t *testing.T) {
	porter, client := neighbors(t)
	old, far := porter.openLink("porter0", false, nil), client.open("client0")
	if want := (lan.Status{Index: old.Index(), MAC: porterMAC, MTU: 1500}); old.Opened() != want {
		t.Errorf("opened with %+v, want %+v", old.Opened(), want)
	}
	truncated := dst(porterMAC, ethernetFrame(0x0806, arpBody(1)...))[:20]
	cut := func(l *lan.Link, want uint64) {
		t.Helper()
		if err := far.Send(truncated); err != nil {
			t.Fatal(err)
		}
		waittest.Until(t, "the frame that is cut off is counted", func() bool { return l.Rejected()[lan.Truncated] == want })
	}
	s := listen(t.Context(), old)
	cut(old, 1)
	old.CountDrops(5)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if len(s.failed) != 0 {
		t.Errorf("closing failed readers: %v", <-s.failed)
	}
	l := porter.openLink("porter0", false, old)
	if got := l.Drops(); got < 5 {
		t.Errorf("%d frames dropped, 5 before", got)
	}
	listen(t.Context(), l)
	cut(l, 2)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	third := porter.openLink("porter0", false, l)
	if third.Drops() < 5 || third.Rejected()[lan.Truncated] != 2 {
		t.Errorf("after a third: %d drops, %v", third.Drops(), third.Rejected())
	}
}

// Readers that end by themselves report why, and Close returns.
func TestLinkFails(t *testing.T) {
	porter, _ := neighbors(t)
	l := porter.openLink("porter0", true, nil)
	s := listen(t.Context(), l)
	porter.netlink(func(c *rtnetlink.Conn) error { return c.Link.Delete(uint32(l.Index())) })
	for range lan.LinkReaders {
		if err := receive(t, "the failure of a reader", s.failed); errors.Is(err, net.ErrClosed) {
			t.Errorf("failed: %v", err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Close() }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("Close waits for readers that have ended")
	}
	// What cannot be opened leaves nothing open.
	porter.do(func() error {
		if _, err := lan.OpenLink("porter0", true, l, slog.New(slog.DiscardHandler)); !errors.Is(err, lan.ErrNoInterface) {
			t.Errorf("opened anew: %v", err)
		}
		return nil
	})
	if l.MAC() == (ether.MAC{}) || !l.Closed() {
		t.Errorf("MAC %v, closed %t", l.MAC(), l.Closed())
	}
}
