package guard

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
)

// script is a kernel's part: what it answers to messages, or, without any, to
// a caller that waits for more. until is the deadline.
type script func(reqs []netlink.Message, until time.Time) ([]netlink.Message, error)

// refusing answers every message with an error number.
func refusing(errno unix.Errno) script {
	return func(reqs []netlink.Message, _ time.Time) ([]netlink.Message, error) {
		if len(reqs) == 0 { // the answers to all messages but the first
			reqs = make([]netlink.Message, 1)
		}
		return nltest.Error(int(errno), reqs[:1])
	}
}

// failing is a socket on which nothing comes but an error.
func failing(err error) script {
	return func([]netlink.Message, time.Time) ([]netlink.Message, error) { return nil, err }
}

// silent never answers. The deadline is not waited for, but there has to be one.
func silent(t *testing.T) script {
	return func(reqs []netlink.Message, until time.Time) ([]netlink.Message, error) {
		if left := time.Until(until); left <= 0 || left > answerTime {
			t.Errorf("the deadline of a transaction is in %v, want %v at most", left, answerTime)
		}
		if len(reqs) > 0 {
			return nil, nil // taken
		}
		return nil, os.ErrDeadlineExceeded
	}
}

// refusingOnce has one answer to a whole batch, as a kernel without nf_tables has.
func refusingOnce(t *testing.T, errno unix.Errno) script {
	return func(reqs []netlink.Message, until time.Time) ([]netlink.Message, error) {
		if len(reqs) == 0 {
			return silent(t)(nil, until)
		}
		return refusing(errno)(reqs, until)
	}
}

// scripted dials sessions whose other end is s.
func scripted(s script) func() (*session, error) {
	return func() (*session, error) {
		var until time.Time
		conn, err := nftables.New(nftables.AsLasting(), nftables.WithTestDial(func(reqs []netlink.Message) ([]netlink.Message, error) {
			return s(reqs, until)
		}))
		return &session{Conn: conn, setDeadline: func(at time.Time) error { until = at; return nil }}, err
	}
}

// spoil gives g another kernel, from its next transaction on.
func (g *Guard) spoil(dial func() (*session, error)) {
	_ = g.disconnect()
	g.dial = dial
}

// TestFaultsOfTheKernel: a fault between the guard and the kernel is
// reported in one line, waited for with a limit, and repaired once it is over.
func TestFaultsOfTheKernel(t *testing.T) {
	for _, c := range []struct {
		name   string
		script script // nil: nothing can be dialled
		want   string
	}{
		{"not allowed", refusing(unix.EPERM), "operation not permitted"},
		{"no room for the answers", failing(unix.ENOBUFS), "no buffer space"},
		{"no memory", refusing(unix.ENOMEM), "cannot allocate memory"},
		{"busy", refusing(unix.EBUSY), "busy"},
		{"silence", silent(t), "has not answered for 3s"},
		{"no nf_tables", refusingOnce(t, unix.EOPNOTSUPP), "operation not supported"},
		{"the socket is closed", failing(os.ErrClosed), "file already closed"},
		{"no socket", nil, "too many open files"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPost(t)
			p.must(p.g.Hold(lab.Interface, nas4))
			broken := func() (*session, error) { return nil, unix.EMFILE }
			if c.script != nil {
				broken = scripted(c.script)
			}
			p.g.spoil(broken)
			for what, err := range map[string]error{"hold": p.g.Hold(lab.Interface, nas6), "release": p.g.Release(lab.Interface, nas4), "check": p.g.Check()} {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: error %v, want a line with %q", what, err, c.want)
				}
			}
			p.wantAddrs(nas4) // nothing got through
			p.g.spoil(p.dial)
			p.must(p.g.Check())
			p.wantAddrs(nas6)
			p.must(p.g.Hold(lab.Interface, tv4))
			p.wantAddrs(nas6, tv4)
		})
	}
}

// TestFaultOnce: an error that passes is made good by the transaction after it,
// on a session of its own.
func TestFaultOnce(t *testing.T) {
	p := newPost(t)
	p.must(p.g.Hold(lab.Interface, nas4))
	ill, err := scripted(failing(unix.ENOBUFS))()
	p.must(err)
	p.must(p.g.disconnect())
	p.g.session = ill
	p.must(p.g.Hold(lab.Interface, nas6))
	p.wantAddrs(nas4, nas6)

	p.must(p.g.session.setDeadline(time.Unix(1, 0))) // reaches the socket itself
	p.g.session.AddTable(inetTable())
	if err := p.g.session.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past its deadline: error %v", err)
	}
}

// TestFaultMuteKernel: the loop waits for a kernel that does not answer once in a
// round, and not with every claim.
func TestFaultMuteKernel(t *testing.T) {
	p := newPost(t)
	asked := 0
	deaf := scripted(silent(t))
	p.g.spoil(func() (*session, error) { asked++; return deaf() })
	for range 100 {
		if err := errors.Join(p.g.Hold(lab.Interface, nas4), p.g.Release(lab.Interface, nas4)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("error %v", err)
		}
	}
	if asked > 2 {
		t.Errorf("asked %d times with 200 changes, want 2 at most", asked)
	}
	for range 2 {
		asked = 0
		if err := p.g.Check(); err == nil || asked != 1 {
			t.Errorf("a round: asked %d times, error %v", asked, err)
		}
	}
	asked = 0
	if err := p.g.Close(); err == nil || asked != 0 {
		t.Errorf("closed: asked %d times, error %v", asked, err)
	}
}

// TestFaultUnreadAnswers: a transaction of thousands of addresses that fails has
// more answers than the socket has room for. Neither it nor the next may hang.
func TestFaultUnreadAnswers(t *testing.T) {
	p := newPost(t)
	var all []netip.Addr
	for i := range 40000 {
		ip := nas6.As16()
		binary.BigEndian.PutUint16(ip[14:], uint16(i))
		all = append(all, netip.AddrFrom16(ip))
	}
	p.must(p.g.Hold(lab.Interface, all...))
	for range 2 {
		p.conn.FlushRuleset() // another program deletes the table
		p.must(p.conn.Flush())
		done := make(chan error, 1)
		go func() {
			done <- errors.Join(p.g.Release(lab.Interface, all[1:]...), p.g.Check(), p.g.Hold(lab.Interface, all...))
		}()
		select {
		case err := <-done:
			p.must(err)
		case <-time.After(4 * answerTime):
			t.Fatal("the guard hangs")
		}
	}
	p.must(p.g.Release(lab.Interface, all[1:]...))
	if got := p.settled(1); len(got) != 1 || got[0] != all[0].String() {
		t.Errorf("%d addresses are left, want %v", len(got), all[0])
	}
}
