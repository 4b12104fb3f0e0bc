package guard

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
)

// refusingSome dials the kernel, but for transactions with a message that it is to
// refuse.
func (p *post) refusingSome(refuse func(netlink.Message) unix.Errno) func() (*session, error) {
	return func() (*session, error) {
		var kernel *netlink.Conn
		if err := p.host.Do(func() (err error) {
			kernel, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
			return err
		}); err != nil {
			return nil, err
		}
		p.Cleanup(func() { _ = kernel.Close() })
		var refused unix.Errno
		conn, err := nftables.New(nftables.AsLasting(), nftables.WithTestDial(func(reqs []netlink.Message) ([]netlink.Message, error) {
			if len(reqs) > 0 {
				refused = 0
			}
			for _, m := range reqs {
				if refused == 0 {
					refused = refuse(m)
				}
			}
			switch {
			case refused != 0:
				return refusing(refused)(reqs, time.Time{})
			case len(reqs) > 0:
				_, err := kernel.SendMessages(reqs)
				return nil, err
			}
			answers, err := kernel.Receive()
			for i := range answers {
				answers[i].Header.PID = nltest.PID
				answers[i].Header.Flags &^= netlink.Multi // all of them are here
			}
			return answers, err
		}))
		return &session{Conn: conn, setDeadline: kernel.SetDeadline}, err
	}
}

// isTable matches messages that make a table of a family.
func isTable(m netlink.Message, family nftables.TableFamily) bool {
	return m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE && m.Data[0] == byte(family)
}

// isChainOn matches messages that make a chain on an interface.
func isChainOn(m netlink.Message, ifi string) bool {
	return m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWCHAIN && bytes.Contains(m.Data, []byte(ifi+"\x00"))
}

// withoutNetdev is a kernel that has no tables of the family netdev.
func (p *post) withoutNetdev(errno unix.Errno) func() (*session, error) {
	return p.refusingSome(func(m netlink.Message) unix.Errno {
		if isTable(m, nftables.TableFamilyNetdev) {
			return errno
		}
		return 0
	})
}

// TestWithoutIngress: on a kernel without the hook the table is the one that older
// versions made, and the guard says what that costs.
func TestWithoutIngress(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EOPNOTSUPP, unix.EAFNOSUPPORT} {
		for _, o := range []Options{options, bound} {
			p := newHost(t)
			g, err := install(p.withoutNetdev(errno), o)
			p.must(err)
			if g.Limits() == "" {
				t.Error("nothing says what the guard cannot do")
			}
			p.must(g.Hold(lab.Interface, nas4, nas6))
			p.wantAddrs(nas4, nas6)
			p.must(g.Attach(lab.Interface))
			p.must(g.Hold("wlan-fifteen-ch", tv4))
			p.must(g.Release(lab.Interface, nas4))
			p.wantAddrs(nas6, tv4)
			p.conn.FlushRuleset()
			p.must(p.conn.Flush())
			p.must(g.Check())
			p.wantAddrs(nas6, tv4)
			p.must(g.Close())
			if tables := p.tables(); len(tables) > 0 {
				t.Errorf("left behind: %v", tables)
			}
		}
	}
}

// TestReplacesAnOlderLayout: what an older version left goes with the next start.
func TestReplacesAnOlderLayout(t *testing.T) {
	p := newHost(t)
	older, err := install(p.withoutNetdev(unix.EOPNOTSUPP), options)
	p.must(err)
	p.must(older.Hold(lab.Interface, nas4, nas6))
	if tables := p.tables(); tables["inet nightporter"] == "" {
		t.Fatalf("no older layout, but %v", tables)
	}
	p.install(options)
	p.wantAddrs()
	if tables := p.tables(); len(tables) != 1 || tables["netdev nightporter"] == "" {
		t.Errorf("the tables are %v, want one", tables)
	}
}

// TestMissingInterface: older kernels make no chain for an interface that is
// not there, and take the chain away with the interface.
func TestMissingInterface(t *testing.T) {
	p := newHost(t)
	missing := "wlan-fifteen-ch"
	g, err := install(p.refusingSome(func(m netlink.Message) unix.Errno {
		if isChainOn(m, missing) {
			return unix.ENOENT
		}
		return 0
	}), options)
	p.must(err)
	p.wantChains("ingress_1")
	p.must(errors.Join(g.Hold(lab.Interface, nas4, nas6), g.Hold(missing, tv4)))
	p.wantAddrs(nas4, nas6, tv4)
	p.must(errors.Join(g.Attach(missing), g.Check()))
	p.wantChains("ingress_1")
	missing = "none"
	p.must(g.Attach("wlan-fifteen-ch"))
	p.wantChains("ingress_1", "ingress_2")
	p.conn.DelChain(&nftables.Chain{Name: "ingress_1", Table: netdevTable()})
	p.must(p.conn.Flush())
	p.must(g.Check())
	p.wantChains("ingress_1", "ingress_2")
	p.wantAddrs(nas4, nas6, tv4)
	missing = lab.Interface
	p.conn.FlushRuleset()
	p.must(p.conn.Flush())
	p.must(g.Attach("wlan-fifteen-ch")) // all of it
	p.wantChains("ingress_2")
	p.wantAddrs(nas4, nas6, tv4)
}

// wantChains compares the names of the chains of interfaces.
func (p *post) wantChains(want ...string) {
	p.Helper()
	chains, err := p.conn.ListChainsOfTableFamily(nftables.TableFamilyNetdev)
	p.must(err)
	got := make(map[string]bool)
	for _, c := range chains {
		if c.Hooknum != nil {
			got[c.Name] = true
		}
	}
	for _, name := range want {
		if !got[name] {
			p.Errorf("no chain %s", name)
		}
	}
	if len(got) != len(want) {
		p.Errorf("chains %v, want %v", got, want)
	}
}
