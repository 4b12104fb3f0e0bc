package e2e

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// guardTable is the guard's table.
const guardTable = "netdev nightporter"

// forward makes a host forward packets, as Docker hosts do.
func forward(t testing.TB, host *lab.Host) {
	t.Helper()
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := host.Sysctl(name, "1"); err != nil {
			t.Fatal(err)
		}
	}
}

// dropForwarded makes the porter's host forward nothing, by a chain like Docker's.
func dropForwarded(h *harness) {
	h.Helper()
	h.must(h.lan.Porter().Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		drop := nftables.ChainPolicyDrop
		conn.AddChain(&nftables.Chain{
			Name: "forward", Table: conn.AddTable(&nftables.Table{Name: "filter", Family: nftables.TableFamilyINet}),
			Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &drop,
		})
		return conn.Flush()
	}))
}

// knockUnanswered lets a client knock at a machine that does not wake, until the SYN that is
// repeated after 7 s. A kernel that forwards gives up after 3 s and on a busy computer later.
// It returns the complaints of the porter's kernel.
func knockUnanswered(h *harness, nas *lab.Machine, then func()) (complaints []lab.Frame) {
	h.Helper()
	nas.IgnoreMagic(lab.IgnoreAll)
	client := h.lan.Client()
	capture, err := h.lan.CapturePort(h.ctx, client)
	h.must(err)
	defer capture.Close()
	for _, ip := range []netip.Addr{nas4, nas6} {
		// The kernel has an entry from the registration, and would use it for some seconds
		// more.
		h.must(h.lan.Porter().ForgetNeighbor(ip))
		h.startConnecting(client, ip, 22)
		h.startConnecting(client, ip, 81) // nothing is registered there
	}
	for _, ip := range []netip.Addr{nas4, nas6} {
		first, err := capture.Wait(h.within(5*time.Second), opensTo(ip, time.Time{}))
		h.must(err)
		_, err = capture.Wait(h.within(20*time.Second), func(f lab.Frame) bool {
			// A client that gets an unreachable repeats no SYN.
			return complaint(f) == "unreachable" && (f.EtherType() == 0x0800) == ip.Is4() || opensTo(ip, first.Time.Add(6*time.Second))(f)
		})
		h.must(err)
	}
	if then != nil {
		then()
	}
	for _, f := range capture.Frames() {
		if complaint(f) != "" {
			complaints = append(complaints, f)
		}
	}
	return complaints
}

// longWakes lets a wake last for 50 s.
const longWakes = fastProbe + "wake: {interval: 500ms, attempts: 100}\n"

// TestForwardingHostStaysSilent: with forwarding on, a client of a machine that takes long to
// wake receives neither ICMP nor RST, and is served. After the claim the host forwards again.
func TestForwardingHostStaysSilent(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"responder", "bind"} {
		t.Run(mode, func(t *testing.T) { forwardingHostStaysSilent(t, longWakes+"claim: {guard: on, mode: "+mode+"}\n") })
	}
}

func forwardingHostStaysSilent(t *testing.T, conf string) {
	h := open(t, conf)
	porter := h.lan.Porter()
	forward(t, porter)
	own, err := porter.Listen(h.ctx, "tcp", ":22") // must not answer for the machine
	h.must(err)
	defer own.Close()
	nas := h.addNAS(nil)
	h.wantMetric(1, `nightporter_guard_active`)
	h.putToSleep(nas)
	complaints := knockUnanswered(h, nas, func() {
		if table := ruleset(h)[guardTable]; !contains(table, hex.EncodeToString(nas4.AsSlice()), hex.EncodeToString(nas6.AsSlice())) {
			t.Errorf("the guard does not hold both addresses:\n%s", table)
		}
		nas.IgnoreMagic(0)
		for _, ip := range []netip.Addr{nas4, nas6} {
			if got := h.connect(h.lan.Client(), ip, 22); got != lab.Banner("nas") {
				t.Errorf("the service said %q", got)
			}
		}
	})
	for _, f := range complaints {
		if f.Src() == porter.MAC() {
			t.Errorf("the porter's kernel said %s: %v", complaint(f), f)
		}
	}
	h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
	waitUnguarded(h, nas4, nas6)

	capture, err := nas.Capture(h.ctx)
	h.must(err)
	defer capture.Close()
	from := netip.AddrPortFrom(h.lan.Client().Addr4(), 40001)
	packet := lantest.SegmentFrame(h.lan.Client().MAC(), porter.MAC(), from, netip.AddrPortFrom(nas4, 9), 0)
	h.must(h.lan.Client().SendFrame(packet))
	_, err = capture.Wait(h.within(5*time.Second), func(f lab.Frame) bool {
		var p lan.Packet
		return !f.Outgoing && f.Src() == porter.MAC() && p.Parse(f.Data) == lan.Accepted && p.Kind == lan.UDP && p.FromPort == from.Port()
	})
	if err != nil {
		t.Errorf("a packet for the awake machine is not forwarded: %v", err)
	}
}

// TestWithoutGuard shows that the tests of the guard can fail.
func TestWithoutGuard(t *testing.T) {
	h := open(t, longWakes+"claim: {guard: off}\n")
	forward(t, h.lan.Porter())
	nas := h.addNAS(nil)
	h.wantMetric(0, `nightporter_guard_active`)
	if tables := ruleset(h); len(tables) != 0 {
		t.Errorf("tables although there is to be no guard: %v", tables)
	}
	h.putToSleep(nas)
	said := map[string]int{}
	for _, f := range knockUnanswered(h, nas, nil) {
		if f.Src() == h.lan.Porter().MAC() {
			said[fmt.Sprintf("%s over %s", complaint(f), f.EtherType())]++
		}
	}
	for _, family := range []string{"IPv4", "IPv6"} {
		// Redirects and errors to one host share a rate limit (Linux, inet_peer), so one may
		// suppress the other.
		if said["redirect over EtherType"+family]+said["unreachable over EtherType"+family] == 0 {
			t.Errorf("the porter's kernel said %v, nothing over %s", said, family)
		}
	}
	if said["unreachable over EtherTypeIPv4"]+said["unreachable over EtherTypeIPv6"] == 0 {
		t.Errorf("the porter's kernel said %v, no unreachable", said)
	}
}

func ruleset(h *harness) map[string]string {
	h.Helper()
	all, err := h.lan.Porter().Ruleset()
	h.must(err)
	return all
}

// addOtherTables adds tables to the porter's host, as Docker and a firewall do.
func addOtherTables(h *harness) {
	h.Helper()
	h.must(h.lan.Porter().Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		for _, t := range []*nftables.Table{{Name: "filter", Family: nftables.TableFamilyINet}, {Name: "nightporter", Family: nftables.TableFamilyIPv4}} {
			conn.AddTable(t)
			chain := conn.AddChain(&nftables.Chain{Name: "forward", Table: t, Type: nftables.ChainTypeFilter,
				Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter})
			conn.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}})
			set := &nftables.Set{Table: t, ID: 7, Name: "known", KeyType: nftables.TypeIPAddr}
			if err := conn.AddSet(set, []nftables.SetElement{{Key: nas4.AsSlice()}}); err != nil {
				return err
			}
		}
		return conn.Flush()
	}))
}

// TestGuardComesAndGoes: the guard's table exists from the start to the exit. The next run
// replaces the table of a crashed one, and no other table changes.
func TestGuardComesAndGoes(t *testing.T) {
	h := open(t, fastProbe)
	h.must(h.daemon.Signal(9))
	h.daemon.Kill()
	addOtherTables(h)
	before := ruleset(h)
	left := before[guardTable]
	if left == "" {
		t.Fatal("a run that was killed left no table, so there is nothing to replace")
	}
	delete(before, guardTable)

	nas := h.addNAS(nil)
	held := hex.EncodeToString(nas6.AsSlice())
	restart := func() {
		t.Helper()
		d, err := labdaemon.Start(h.ctx, h.lan, t.TempDir(), labdaemon.Options{Exe: os.Args[0], Env: programEnv, Config: fastProbe})
		h.must(err)
		h.daemon = d
		t.Cleanup(d.Kill)
		if table := ruleset(h)[guardTable]; contains(table, held) || len(table) != len(left) {
			t.Errorf("at the start the table is\n%s", table)
		}
	}
	restart()
	h.putToSleep(nas)
	h.wantNeighbor(h.lan.Client(), nas6, h.lan.Porter().MAC()) // the guard precedes the first answer
	if table := ruleset(h)[guardTable]; !contains(table, held) {
		t.Errorf("the claimed address is not in\n%s", table)
	}
	h.daemon.Kill()
	if table := ruleset(h)[guardTable]; !contains(table, held) {
		t.Errorf("after the crash the address is not in\n%s", table)
	}
	restart()
	if _, err := h.daemon.Stop(h.within(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, ruleset(h)); diff != "" {
		t.Errorf("tables (-before +after):\n%s", diff)
	}
}

// TestGuardEndsWithTheClaim: the addresses of a machine that is awake again leave the table
// after the announcements.
func TestGuardEndsWithTheClaim(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	waitUnguarded(h, nas4, nas6)
}

// waitUnguarded waits until addresses have left the guard's table.
func waitUnguarded(h *harness, addrs ...netip.Addr) {
	h.Helper()
	var table string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		table = ruleset(h)[guardTable]
		if table != "" && !slices.ContainsFunc(addrs, func(ip netip.Addr) bool { return contains(table, hex.EncodeToString(ip.AsSlice())) }) {
			return
		}
	}
	h.Fatalf("the table is\n%s", table)
}

// TestGuardWithoutPermission: with CAP_NET_RAW alone the rest works, and the log, the metric
// and the API have the reason.
func TestGuardWithoutPermission(t *testing.T) {
	start := func(t *testing.T, conf string, forwards bool) (*harness, error) {
		t.Parallel()
		ctx, lan := newLAN(t)
		if forwards {
			forward(t, lan.Porter())
		}
		d, err := labdaemon.Start(ctx, lan, t.TempDir(),
			labdaemon.Options{Exe: os.Args[0], Env: append([]string{withoutNetAdmin + "=1"}, programEnv...), Config: conf})
		if err == nil {
			t.Cleanup(d.Kill)
		}
		return &harness{TB: t, ctx: ctx, lan: lan, daemon: d}, err
	}
	t.Run("on", func(t *testing.T) {
		h, err := start(t, "claim: {guard: on}\n", false)
		if err == nil || !contains(err.Error(), "claim.guard: on", "nftables", "operation not permitted", "CAP_NET_ADMIN", "setcap") {
			t.Errorf("said %v", err)
		}
		if tables := ruleset(h); len(tables) != 0 {
			t.Errorf("tables: %v", tables)
		}
	})
	for _, c := range []struct {
		name     string
		forwards bool
		level    string
		says     string
	}{
		{"auto", false, "INFO", "claims are safe without it"},
		{"auto and forwarding", true, "WARN", "this host forwards packets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := start(t, fastProbe, c.forwards)
			h.must(err)
			e, err := h.daemon.Log.Wait(h.within(5*time.Second), 0, func(e labdaemon.Entry) bool { return strings.HasPrefix(e.Message, "no guard") })
			h.must(err)
			if e.Level != c.level || !contains(e.Message, c.says) || !contains(e.Field("reason"), "CAP_NET_ADMIN") {
				t.Errorf("logged as %s: %s (%s)", e.Level, e.Message, e.Field("reason"))
			}
			h.wantMetric(0, `nightporter_guard_active`)
			status, text, err := h.daemon.Get(h.within(5*time.Second), "/api/v1/status")
			h.must(err)
			var answer struct {
				Ready bool
				Guard struct {
					Mode   string
					Active bool
					Reason string
				}
			}
			h.must(json.Unmarshal([]byte(text), &answer))
			if g := answer.Guard; status != 200 || !answer.Ready || g.Mode != "auto" || g.Active || !contains(g.Reason, "CAP_NET_ADMIN", c.says) {
				t.Errorf("the status is %d %s", status, text)
			}
			h.putToSleep(h.addNAS(nil)) // it is claimed without a guard
		})
	}
}
