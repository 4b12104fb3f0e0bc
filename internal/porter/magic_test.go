package porter

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// One round of magic packets: which frames, from whom and to whom.
func TestMagicFrames(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		spec := nas()
		spec.Password = []byte{1, 2, 3, 4}
		self := x.n.MAC()
		for _, c := range []struct {
			transports []string
			want       []ether.MAC // destinations
		}{
			{[]string{config.TransportEthernet}, []ether.MAC{ether.Broadcast, nasMAC}},
			{[]string{config.TransportUDP}, []ether.MAC{ether.Broadcast}},
			{[]string{config.TransportEthernet, config.TransportUDP}, []ether.MAC{ether.Broadcast, nasMAC, ether.Broadcast}},
		} {
			var got []ether.MAC
			for _, f := range x.n.outlet().magicFrames(nasMAC, spec.Password, c.transports) {
				p := parsed(f, nil)
				got = append(got, p.Dst)
				if p.Src != self || !strings.HasSuffix(string(f), string(lan.MagicPacket(nasMAC, spec.Password))) {
					t.Errorf("%v: a frame from %v of %d bytes", c.transports, p.Src, len(f))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%v (-want +got):\n%s", c.transports, diff)
			}
		}
		// A magic datagram comes from an IPv4 address if there is one.
		if ip, ok := x.n.magicSource(); !ok || ip != porter4 {
			t.Errorf("from %v", ip)
		}
		x.n.network.Store(&lan.Network{Prefixes: []netip.Prefix{netip.MustParsePrefix("fd77::2/64")}})
		if ip, ok := x.n.magicSource(); !ok || ip != porter6 {
			t.Errorf("from %v without IPv4", ip)
		}
		x.n.network.Store(&lan.Network{})
		if frames := x.n.outlet().magicFrames(nasMAC, nil, []string{config.TransportUDP}); frames != nil {
			t.Errorf("%d datagrams from an interface without an address", len(frames))
		}
	})
}

// A machine without a place so far may be anywhere: its magic packets go out
// everywhere.
func TestMagicWithoutAPlace(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.again()
		x.configured(nas())
		x.dispatch(x.machine(nas()), machine.WakeRequested{Trigger: machine.ByAPI, By: "test"})
		for _, n := range x.nics {
			if x.count(func(s *sentFrame) bool { return s.on == n && s.Dst == nasMAC }) != 1 {
				t.Error("an interface was left out")
			}
		}
	})
}

// A magic packet goes out before what else follows from a knock.
func TestMagicComesFirst(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.asleep(nas())
		x.pass(10 * time.Second)
		x.forgetSent()
		x.hear(syn(nas4, 22))
		if first := x.sent[0]; first.Dst != ether.Broadcast || first.Kind == lan.ARPRequest {
			t.Errorf("the first frame is a %v to %v", first.Kind, first.Dst)
		}
	})
}

// setLink changes the host's interface.
func setLink(x *fixture, up bool, mtu uint32) {
	x.Helper()
	if err := errors.Join(x.host.SetLink(lab.Interface, up), x.host.SetMTU(lab.Interface, mtu)); err != nil {
		x.Fatal(err)
	}
}

// A magic packet that cannot be sent is logged, and those after it are sent all
// the same.
func TestFaultSend(t *testing.T) {
	for _, c := range []struct {
		fault unix.Errno
		up    bool
		mtu   uint32
	}{{unix.ENETDOWN, false, 1500}, {unix.EMSGSIZE, true, 68}} {
		t.Run(c.fault.Error(), func(t *testing.T) {
			onLab(t, nil, func(x *fixture) {
				e := x.asleep(tv())
				x.pass(10 * time.Second)
				x.n.transmit = x.n.Send
				setLink(x, c.up, c.mtu)
				x.hear(syn(tv4, 80))
				x.pass(x.conf.Wake.Interval)
				for attempt := 1; attempt <= 2; attempt++ {
					want := fmt.Sprintf(`level=WARN msg="magic packet not sent" event=magic_failed machine=tv attempt=%d err=`, attempt)
					if n := x.logged(want); n != 1 {
						t.Errorf("%d lines with %q, want one:\n%s", n, want, &x.output)
					}
				}
				if x.logged(c.fault.Error()) == 0 {
					t.Errorf("the log lacks %q:\n%s", c.fault, &x.output)
				}
				setLink(x, true, 1500)
				x.pass(x.conf.Wake.Interval)
				if x.logged(`msg="magic packet sent" event=magic machine=tv attempt=3`) != 1 {
					t.Errorf("the log:\n%s", &x.output)
				}
				if e.State() != machine.Waking || e.Status().LastWake.Attempts != 3 {
					t.Errorf("it is %v after %d attempts", e.State(), e.Status().LastWake.Attempts)
				}
			})
		})
	}
}
