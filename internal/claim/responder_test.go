package claim_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/claim"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

var (
	us      = ether.MAC{2, 0, 0, 0, 0, 2}
	sleeper = ether.MAC{2, 0, 0, 0, 0, 0x20}
	client  = ether.MAC{2, 0, 0, 0, 0, 0x10}
	other   = ether.MAC{2, 0, 0, 0, 0, 0x66}

	ip4, ip6       = netip.MustParseAddr("10.77.0.20"), netip.MustParseAddr("fd77::20")
	quiet4         = netip.MustParseAddr("10.77.0.21") // watched, not answered for
	client4        = netip.MustParseAddr("10.77.0.10")
	client6        = netip.MustParseAddr("fd77::10")
	unspecified4   = netip.IPv4Unspecified()
	unspecified6   = netip.IPv6Unspecified()
	noLinkLayer    ether.MAC
	somebodyElse   = netip.MustParseAddr("10.77.0.99")
	solicitedBySLL = client
)

// holding has other wait at the address that we are quiet about.
func holding(ip netip.Addr) (claim.Holding, bool) {
	switch ip {
	case ip4, ip6:
		return claim.Holding{Owner: sleeper, Answer: true}, true
	case quiet4:
		return claim.Holding{Owner: sleeper}, true
	}
	return claim.Holding{}, false
}

func arp(kind lan.Kind, src, sender ether.MAC, from, to netip.Addr) lan.Packet {
	return lan.Packet{Kind: kind, Src: src, Dst: ether.Broadcast, SenderMAC: sender, From: from, To: to}
}

func nd(kind lan.Kind, src, option ether.MAC, from, target netip.Addr) lan.Packet {
	return lan.Packet{Kind: kind, Src: src, SenderMAC: option, From: from, To: target, Target: target}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name string
		p    lan.Packet
		want claim.Verdict
	}{
		{"a client asks", arp(lan.ARPRequest, client, client, client4, ip4), claim.Answered},
		{"a third machine probes before it takes the address (RFC 5227 2.1.1)", arp(lan.ARPRequest, client, client, unspecified4, ip4), claim.Answered},
		{"a client asks for another host", arp(lan.ARPRequest, client, client, client4, somebodyElse), claim.NotOurs},
		{"a client asks for an address we are quiet about", arp(lan.ARPRequest, client, client, client4, quiet4), claim.Quiet},
		{"the machine itself probes", arp(lan.ARPRequest, sleeper, sleeper, unspecified4, ip4), claim.FromOwner},
		{"the machine itself announces", arp(lan.ARPRequest, sleeper, sleeper, ip4, ip4), claim.FromOwner},
		{"an access point answers in the machine's name", arp(lan.ARPReply, other, sleeper, ip4, client4), claim.FromOwner},
		{"our own announcement comes back", arp(lan.ARPRequest, us, us, ip4, ip4), claim.FromUs},
		{"our own question comes back", arp(lan.ARPRequest, us, us, client4, ip4), claim.FromUs},
		{"another host announces", arp(lan.ARPRequest, other, other, ip4, ip4), claim.Conflict},
		{"another host answers", arp(lan.ARPReply, other, other, ip4, client4), claim.Conflict},
		{"another host asks from the address", arp(lan.ARPRequest, other, other, ip4, client4), claim.Conflict},
		{"another host uses an address we are quiet about", arp(lan.ARPReply, other, other, quiet4, client4), claim.Conflict},
		{"a reply between strangers", arp(lan.ARPReply, other, other, client4, somebodyElse), claim.NotARequest},

		{"a client solicits", nd(lan.NeighborSolicitation, client, solicitedBySLL, client6, ip6), claim.Answered},
		{"a router verifies, without an option (RFC 4861 7.2.2)", nd(lan.NeighborSolicitation, client, noLinkLayer, client6, ip6), claim.Answered},
		{"a third machine detects duplicates (RFC 4862 5.4.3)", nd(lan.NeighborSolicitation, client, noLinkLayer, unspecified6, ip6), claim.Answered},
		{"the machine itself detects duplicates", nd(lan.NeighborSolicitation, sleeper, noLinkLayer, unspecified6, ip6), claim.FromOwner},
		{"a client solicits another host", nd(lan.NeighborSolicitation, client, client, client6, client6), claim.NotOurs},
		{"another host advertises", nd(lan.NeighborAdvertisement, other, other, ip6, ip6), claim.Conflict},
		{"another host advertises without an option", nd(lan.NeighborAdvertisement, other, noLinkLayer, ip6, ip6), claim.Conflict},
		{"the machine advertises", nd(lan.NeighborAdvertisement, sleeper, sleeper, ip6, ip6), claim.FromOwner},
		{"a data packet", lan.Packet{Kind: lan.TCP, Src: client, From: client4, To: ip4}, claim.NotARequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent, replied := 0, 0
			r := claim.Responder{Self: us,
				Send:    func([]byte) error { sent++; return nil },
				Replied: func(lan.Kind) { replied++ }}
			if got := r.Handle(&c.p, holding); got != c.want {
				t.Errorf("verdict %q, want %q", got, c.want)
			}
			want := 0
			if c.want == claim.Answered {
				want = 1
			}
			if sent != want || replied != want {
				t.Errorf("sent %d and counted %d answers, want %d", sent, replied, want)
			}
		})
	}
}

func TestTheAnswerNamesOurMAC(t *testing.T) {
	for _, question := range []lan.Packet{
		arp(lan.ARPRequest, client, client, client4, ip4),
		nd(lan.NeighborSolicitation, client, client, client6, ip6),
	} {
		var answer lan.Packet
		r := claim.Responder{Self: us, Replied: func(lan.Kind) {},
			Send: func(f []byte) error {
				if v := answer.Parse(f); v != lan.Accepted {
					t.Fatalf("our own answer is %v", v)
				}
				return nil
			}}
		r.Handle(&question, holding)
		if answer.Src != us || answer.Dst != client || answer.SenderMAC != us {
			t.Errorf("answer to %v: %+v", question.Kind, answer)
		}
	}
}

func TestAnAnswerThatCannotBeSentIsNotCounted(t *testing.T) {
	r := claim.Responder{Self: us, Send: func([]byte) error { return errors.New("no buffer") },
		Replied: func(lan.Kind) { t.Error("counted") }}
	p := arp(lan.ARPRequest, client, client, client4, ip4)
	if got := r.Handle(&p, holding); got != claim.Failed {
		t.Errorf("verdict %q", got)
	}
}

func TestStated(t *testing.T) {
	with := nd(lan.NeighborAdvertisement, client, other, ip6, ip6)
	without := nd(lan.NeighborAdvertisement, client, noLinkLayer, ip6, ip6)
	if d := cmp.Diff([]ether.MAC{other, client}, []ether.MAC{claim.Stated(&with), claim.Stated(&without)}); d != "" {
		t.Error(d)
	}
}
