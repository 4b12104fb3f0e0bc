package lan

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The messages of rtnetlink(7), as far as they are looked at.

func linkNews(kind netlink.HeaderType, family byte, index, flags uint32) netlink.Message {
	data := make([]byte, unix.SizeofIfInfomsg)
	data[0] = family
	binary.NativeEndian.PutUint32(data[4:], index)
	binary.NativeEndian.PutUint32(data[8:], flags)
	return netlink.Message{Header: netlink.Header{Type: kind}, Data: data}
}

func addrNews(kind netlink.HeaderType, index uint32) netlink.Message {
	data := make([]byte, unix.SizeofIfAddrmsg)
	binary.NativeEndian.PutUint32(data[4:], index)
	return netlink.Message{Header: netlink.Header{Type: kind}, Data: data}
}

func routeNews(attributes ...netlink.Attribute) netlink.Message {
	b, err := netlink.MarshalAttributes(attributes)
	if err != nil {
		panic(err) // of our own making
	}
	return netlink.Message{Header: netlink.Header{Type: unix.RTM_NEWROUTE}, Data: append(make([]byte, unix.SizeofRtMsg), b...)}
}

const works = unix.IFF_UP | unix.IFF_RUNNING

func TestNote(t *testing.T) {
	for _, c := range []struct {
		name string
		news []netlink.Message
		want Changes
	}{
		{"a link that works", []netlink.Message{linkNews(unix.RTM_NEWLINK, 0, 7, works)}, Changes{Of: map[int]Change{7: {}}}},
		{"no carrier", []netlink.Message{linkNews(unix.RTM_NEWLINK, 0, 7, unix.IFF_UP)}, Changes{Of: map[int]Change{7: {LinkLost: true}}}},
		{
			"down, and up again at once",
			[]netlink.Message{linkNews(unix.RTM_NEWLINK, 0, 7, 0), linkNews(unix.RTM_NEWLINK, 0, 7, works)},
			Changes{Of: map[int]Change{7: {LinkLost: true}}},
		},
		{"removed", []netlink.Message{linkNews(unix.RTM_DELLINK, 0, 7, works)}, Changes{Of: map[int]Change{7: {LinkLost: true}}}},
		{"removed from a bridge", []netlink.Message{linkNews(unix.RTM_DELLINK, unix.AF_BRIDGE, 7, works)}, Changes{Of: map[int]Change{}}},
		{"a new address", []netlink.Message{addrNews(unix.RTM_NEWADDR, 3)}, Changes{Of: map[int]Change{3: {}}}},
		{
			"an address in place of another",
			[]netlink.Message{addrNews(unix.RTM_DELADDR, 3), addrNews(unix.RTM_NEWADDR, 3)},
			Changes{Of: map[int]Change{3: {AddrLost: true}}},
		},
		{
			"two interfaces",
			[]netlink.Message{linkNews(unix.RTM_NEWLINK, 0, 7, 0), addrNews(unix.RTM_DELADDR, 3)},
			Changes{Of: map[int]Change{7: {LinkLost: true}, 3: {AddrLost: true}}},
		},
		{
			"a route", []netlink.Message{routeNews(netlink.Attribute{Type: unix.RTA_OIF, Data: []byte{9, 0, 0, 0}})},
			Changes{Of: map[int]Change{int(binary.NativeEndian.Uint32([]byte{9, 0, 0, 0})): {}}},
		},
		{"a route to nowhere", []netlink.Message{routeNews()}, Changes{Of: map[int]Change{}}},
		{
			"a route by several interfaces", []netlink.Message{routeNews(netlink.Attribute{Type: unix.RTA_MULTIPATH, Data: make([]byte, 8)})},
			Changes{Everything: true, Of: map[int]Change{}},
		},
		{
			"a message that is too short", []netlink.Message{{Header: netlink.Header{Type: unix.RTM_NEWLINK}, Data: []byte{0}}},
			Changes{Everything: true, Of: map[int]Change{}},
		},
		{"something else", []netlink.Message{{Header: netlink.Header{Type: unix.RTM_NEWNEIGH}}}, Changes{Of: map[int]Change{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Changes{Of: make(map[int]Change)}
			for _, m := range c.news {
				got.note(m)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzNote(f *testing.F) {
	for _, m := range []netlink.Message{
		linkNews(unix.RTM_NEWLINK, 0, 7, works), addrNews(unix.RTM_DELADDR, 3),
		routeNews(netlink.Attribute{Type: unix.RTA_OIF, Data: []byte{9, 0, 0, 0}}),
	} {
		f.Add(uint16(m.Header.Type), m.Data)
	}
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		got := Changes{Of: make(map[int]Change)}
		got.note(netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: data})
		if len(got.Of) > 1 || got.Everything && len(got.Of) > 0 {
			t.Errorf("one message told of %+v", got)
		}
	})
}

func TestTo(t *testing.T) {
	c := Changes{Of: map[int]Change{7: {AddrLost: true}}}
	if news, told := c.To(7); !told || news != (Change{AddrLost: true}) {
		t.Errorf("of 7: %+v, %t", news, told)
	}
	if news, told := c.To(8); told || news != (Change{}) {
		t.Errorf("of 8: %+v, %t", news, told)
	}
	if news, told := (Changes{Everything: true}).To(8); !told || news != (Change{LinkLost: true, AddrLost: true}) {
		t.Errorf("of 8 when messages were lost: %+v, %t", news, told)
	}
}

// news is a subscription whose messages the test makes.
type news struct {
	in       chan any // netlink.Message or error
	deadline chan time.Time
	until    <-chan time.Time
	closed   bool
}

func newNews() *news { return &news{in: make(chan any), deadline: make(chan time.Time, 16)} }

func (n *news) Receive() ([]netlink.Message, error) {
	for {
		select {
		case x := <-n.in:
			if m, ok := x.(netlink.Message); ok {
				return []netlink.Message{m}, nil
			}
			return nil, x.(error)
		case at := <-n.deadline:
			n.until = nil
			if !at.IsZero() {
				n.until = time.After(time.Until(at))
			}
		case <-n.until:
			return nil, os.ErrDeadlineExceeded
		}
	}
}

func (n *news) SetReadDeadline(at time.Time) error { n.deadline <- at; return nil }
func (n *news) Close() error                       { n.closed = true; return nil }

// watched runs f beside a Watcher on count subscriptions, one after the other;
// told is what it told so far.
func watched(t *testing.T, count int, f func(conns []*news, told func() []Changes)) {
	synctest.Test(t, func(t *testing.T) {
		var conns []*news
		for range count {
			conns = append(conns, newNews()) // inside, or time would stand still
		}
		ctx, cancel := context.WithCancel(t.Context())
		dials := 0
		w := &Watcher{log: slog.New(slog.DiscardHandler), dial: func() (subscription, error) {
			dials++
			if dials > len(conns) {
				return nil, unix.EMFILE
			}
			return conns[dials-1], nil
		}}
		var mu sync.Mutex
		var all []Changes
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.Run(ctx, func(c Changes) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, c)
			})
		}()
		f(conns, func() []Changes {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		})
		cancel()
		<-done
	})
}

// A burst is reported once, within 150 ms of its first message.
func TestBurst(t *testing.T) {
	watched(t, 1, func(conns []*news, told func() []Changes) {
		conn := conns[0]
		conn.in <- netlink.Message{Header: netlink.Header{Type: unix.RTM_NEWNEIGH}} // is nothing to wait for
		time.Sleep(time.Hour)
		for range 14 {
			conn.in <- linkNews(unix.RTM_NEWLINK, 0, 7, 0)
			time.Sleep(10 * time.Millisecond)
		}
		conn.in <- addrNews(unix.RTM_DELADDR, 3)
		if got := told(); got != nil {
			t.Errorf("told %+v before the burst was over", got)
		}
		time.Sleep(10 * time.Millisecond)
		want := []Changes{{Of: map[int]Change{7: {LinkLost: true}, 3: {AddrLost: true}}}}
		if diff := cmp.Diff(want, told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		conn.in <- addrNews(unix.RTM_NEWADDR, 3)
		time.Sleep(gathering)
		want = append(want, Changes{Of: map[int]Change{3: {}}})
		if diff := cmp.Diff(want, told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// Messages that the kernel had no room for mean that everything is read anew.
func TestLostMessages(t *testing.T) {
	watched(t, 1, func(conns []*news, told func() []Changes) {
		conn := conns[0]
		conn.in <- &netlink.OpError{Op: "receive", Err: os.NewSyscallError("recvmsg", unix.ENOBUFS)}
		time.Sleep(gathering)
		if diff := cmp.Diff([]Changes{{Everything: true, Of: map[int]Change{}}}, told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if conn.closed {
			t.Error("the subscription was given up")
		}
	})
}

// A subscription that fails is opened anew; as long as there is none, everything
// is looked at once in a while.
func TestSubscriptionFails(t *testing.T) {
	watched(t, 2, func(conns []*news, told func() []Changes) {
		first, second := conns[0], conns[1]
		first.in <- errors.New("out of sorts")
		time.Sleep(redialPause)
		if got := told(); len(got) != 1 || !got[0].Everything || !first.closed {
			t.Errorf("told %+v, closed: %t", got, first.closed)
		}
		second.in <- addrNews(unix.RTM_NEWADDR, 3)
		time.Sleep(gathering)
		if got := told(); len(got) != 2 || got[1].Everything {
			t.Errorf("told %+v after it was opened anew", got)
		}
		second.in <- errors.New("out of sorts")
		time.Sleep(3*redialPause + redialPause/2)
		if got := told(); len(got) != 5 {
			t.Errorf("told %d times, want once a second while there is none", len(got))
		}
	})
}
