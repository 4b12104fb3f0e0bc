package lab

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Ruleset returns the nftables tables of the host, by family and name such as
// "inet filter", each as everything that the kernel returns of it: chains, rules,
// sets and elements. Two that are equal are the same byte by byte.
func (h *Host) Ruleset() (map[string]string, error) {
	tables := make(map[string]string)
	err := h.ns.Do(func() error {
		c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
		if err != nil {
			return err
		}
		return errors.Join(dumpRuleset(c, tables), c.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: nftables: %w", h.name, err)
	}
	return tables, nil
}

func dumpRuleset(c *netlink.Conn, tables map[string]string) error {
	for _, kind := range []netlink.HeaderType{unix.NFT_MSG_GETTABLE, unix.NFT_MSG_GETCHAIN, unix.NFT_MSG_GETSET, unix.NFT_MSG_GETRULE} {
		if err := dumpObjects(c, kind, unix.NFPROTO_UNSPEC, nil, tables); err != nil {
			return err
		}
	}
	return nil
}

// dumpObjects appends objects of one kind to the tables they are in, and to a
// set its elements.
func dumpObjects(c *netlink.Conn, kind netlink.HeaderType, family byte, which []byte, tables map[string]string) error {
	const genmsg = 4 // struct nfgenmsg: family, version, a number that every change raises
	objects, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, which...),
	})
	if err != nil {
		return err
	}
	for _, o := range objects {
		if len(o.Data) < genmsg {
			return fmt.Errorf("an object of %d bytes", len(o.Data))
		}
		family, about := o.Data[0], o.Data[genmsg:]
		attrs, err := netlink.UnmarshalAttributes(about)
		if err != nil {
			return err
		}
		// Attribute 1 of all of them is the name of the table, 2 that of a set.
		names := make(map[uint16]string)
		for _, a := range attrs {
			names[a.Type] = strings.TrimRight(string(a.Data), "\x00")
		}
		tables[familyName(family)+" "+names[1]] += fmt.Sprintf("%d %x\n", kind, about)
		if kind == unix.NFT_MSG_GETSET {
			set, err := netlink.MarshalAttributes([]netlink.Attribute{
				{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: []byte(names[1] + "\x00")},
				{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: []byte(names[2] + "\x00")},
			})
			if err != nil {
				return err
			}
			if err := dumpObjects(c, unix.NFT_MSG_GETSETELEM, family, set, tables); err != nil {
				return err
			}
		}
	}
	return nil
}

func familyName(family byte) string {
	switch family {
	case unix.NFPROTO_INET:
		return "inet"
	case unix.NFPROTO_IPV4:
		return "ip"
	case unix.NFPROTO_IPV6:
		return "ip6"
	case unix.NFPROTO_ARP:
		return "arp"
	case unix.NFPROTO_NETDEV:
		return "netdev"
	}
	return fmt.Sprint("family ", family)
}
