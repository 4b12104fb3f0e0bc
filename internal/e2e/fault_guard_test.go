package e2e

import (
	"errors"
	"io/fs"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// bridged gives the porter's host a bridge with a virtual machine on it. With asked the
// firewall sees the bridge's frames. The host forwards, as hosts with containers do.
func bridged(t *testing.T, network *lab.LAN, asked bool) (peer *lab.Host) {
	t.Helper()
	porter := network.Porter()
	if err := network.MakeBridge(porter); err != nil {
		t.Fatal(err)
	}
	forward(t, porter)
	for _, name := range []string{"iptables", "ip6tables", "arptables"} {
		err := porter.Sysctl("net/bridge/bridge-nf-call-"+name, map[bool]string{true: "1", false: "0"}[asked])
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("this kernel has no br_netfilter")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	peer, err := network.AddBridged(porter, "peer", netip.MustParsePrefix("10.77.0.40/24"), netip.MustParsePrefix("fd77::40/64"))
	if err != nil {
		t.Fatal(err)
	}
	return peer
}

// TestFieldBridge: the porter's interface is a bridge, and br_netfilter passes each frame on it
// to the host's firewall. Clients on the bridge and on the LAN are served, and all of them
// reach a machine that is awake.
func TestFieldBridge(t *testing.T) {
	t.Parallel()
	for _, way := range knownBy {
		for _, asked := range []bool{true, false} {
			name := way.name + "/asked"
			if !asked {
				name = way.name + "/unasked"
			}
			t.Run(name, func(t *testing.T) {
				variantUnless(t, asked && !way.agentless)
				t.Parallel()
				ctx, network := newLANFor(t, 3*time.Minute)
				peer := bridged(t, network, asked)
				s := openMachineOn(ctx, t, network, fastProbe+way.conf, way.agentless, slowSSH(900*time.Millisecond))
				s.wantMetric(1, `nightporter_guard_active`)
				for _, hosts := range [][]*lab.Host{{network.Client(), peer}, {peer, network.Client()}} {
					for _, ip := range s.addrs() {
						s.sleepClaimed()
						// The kernel would forward to the machine with its old neighbor entry.
						s.must(network.Porter().ForgetNeighbor(ip))
						s.wantServedOnBridge(hosts[0], hosts[1], ip)
					}
				}
			})
		}
	}
}

// TestFieldBridgeLocal: programs of the host itself are served, whose frames return to it from
// the bridge.
func TestFieldBridgeLocal(t *testing.T) {
	t.Parallel()
	ctx, network := newLANFor(t, 3*time.Minute)
	peer := bridged(t, network, true)
	s := openMachineOn(ctx, t, network, fastProbe+"wake: {local: true}\n", false, slowSSH(900*time.Millisecond))
	for _, ip := range s.addrs() {
		s.sleepClaimed()
		s.wantServedOnBridge(network.Porter(), peer, ip)
	}
}

// wantServedOnBridge lets a host knock, and expects that the replay serves it without a
// complaint. Another host reaches the machine at once.
func (s *machineTest) wantServedOnBridge(from, other *lab.Host, ip netip.Addr) {
	s.Helper()
	n, porter := s.daemon.Log.Len(), s.lan.Porter()
	atClient, atMachine := captureHost(s.harness, from), s.capturePort(s.nas.Host)
	c := s.call(from, s.nas, ip, 22)
	served, err := readServed(s.ctx, s.harness, c, atClient, atMachine)
	s.must(err)
	if err := served.replayed(porter); err != nil {
		s.Errorf("%s to %v: %v", from.Name(), ip, err)
	}
	for _, f := range atClient.Frames() {
		if what := complaint(f); what != "" && f.Src() == porter.MAC() {
			s.Errorf("%s to %v: the porter's kernel said %s: %v", from.Name(), ip, what, f)
		}
	}
	s.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	// The guard holds the address until all hosts know the machine's MAC.
	for _, host := range []*lab.Host{other, from} {
		began := time.Now()
		wantEcho(s.harness, s.call(host, s.nas, ip, 22).conn, 1<<16)
		if took := time.Since(began); took > 900*time.Millisecond { // a SYN is repeated after 1 s
			s.Errorf("%s was served by %v after %v, although the machine is awake", host.Name(), ip, took)
		}
	}
}

// captureHost captures at a host, which may be on a bridge.
func captureHost(h *harness, host *lab.Host) *lab.Capture {
	h.Helper()
	c, err := host.Capture(h.ctx)
	h.must(err)
	h.Cleanup(func() { c.Close() })
	return c
}

// TestFieldRouter: the porter's host routes between two of its interfaces. A client of one
// knocks at a machine of the other. For the host that is a packet of its own (wake.local).
func TestFieldRouter(t *testing.T) {
	t.Parallel()
	for _, c := range secondInterfaces {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(c.name+"/"+ip.String(), func(t *testing.T) {
				t.Parallel()
				ctx, network := newLAN(t)
				porter := network.Porter()
				forward(t, porter)
				legs := []netip.Prefix{netip.MustParsePrefix("10.80.0.2/24"), netip.MustParsePrefix("fd80::2/64")}
				if _, err := c.add(network, porter, 10, legs...); errors.Is(err, unix.EOPNOTSUPP) {
					t.Skip("this kernel has no VLANs:", err)
				} else if err != nil {
					t.Fatal(err)
				}
				h := openOn(ctx, t, network, fastProbe+"wake: {local: true}\ninterfaces: [eth0, "+c.second+"]\n")
				peer, err := network.AddHostIn(10, "peer", netip.MustParsePrefix("10.80.0.10/24"), netip.MustParsePrefix("fd80::10/64"))
				h.must(err)
				for _, p := range []netip.Prefix{legs[0], legs[1]} {
					h.must(peer.AddRoute(netip.PrefixFrom(p.Addr(), 0).Masked(), p.Addr()))
				}
				h.must(network.Router().AddRoute(legs[0].Masked(), porter.Addr4()))
				h.must(network.Router().AddRoute(legs[1].Masked(), porter.Addr6()))

				nas := addSlowNAS(h, 900*time.Millisecond)
				h.putToSleep(nas)
				n := h.daemon.Log.Len()
				atClient, atMachine := h.capturePort(peer), h.capturePort(nas.Host)
				call := h.call(peer, nas, ip, 22)
				began := h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
				if source, _, _ := cutKnock(began.Field("knock")); source != call.from {
					t.Errorf("the log says %q knocked, want %v", began.Field("knock"), call.from)
				}
				s, err := readServed(h.ctx, h, call, atClient, atMachine)
				h.must(err)
				if err := s.replayed(porter); err != nil {
					t.Error(err)
				}
				wantEcho(h, call.conn, 1<<16)
				for _, f := range atClient.Frames() {
					if what := complaint(f); what != "" {
						t.Errorf("the client received %s: %v", what, f)
					}
				}
				h.call(h.lan.Client(), nas, ip, 22)
			})
		}
	}
}
