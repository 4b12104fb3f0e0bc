package claim_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/claim"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/lan"
)

func TestMain(m *testing.M) {
	labtest.Enter()
	os.Exit(m.Run())
}

var errKernel = errors.New("the kernel is out of sorts")

// owner stands for the kernel: it has addresses, and fails if the test says so
// about those that it refuses.
type owner struct {
	claim.Binder
	has     map[netip.Addr]bool
	refuses map[netip.Addr]bool
	mute    bool
	calls   int
}

func newOwner(has ...netip.Addr) *owner {
	o := &owner{has: make(map[netip.Addr]bool), refuses: make(map[netip.Addr]bool)}
	for _, ip := range has {
		o.has[ip] = true
	}
	o.Add = func(ips ...netip.Addr) error { return o.change(true, ips) }
	o.Remove = func(ips ...netip.Addr) error { return o.change(false, ips) }
	o.List = func() ([]netip.Addr, error) {
		if o.mute {
			return nil, errKernel
		}
		return slices.Collect(maps.Keys(o.has)), nil
	}
	return o
}

func (o *owner) change(there bool, ips []netip.Addr) (failed error) {
	o.calls++
	for _, ip := range ips {
		switch {
		case o.refuses[ip]:
			failed = errors.Join(failed, fmt.Errorf("%v: %w", ip, errKernel))
		case there:
			o.has[ip] = true
		default:
			delete(o.has, ip)
		}
	}
	return failed
}

// want compares what the kernel has.
func (o *owner) want(t *testing.T, when string, want ...netip.Addr) {
	t.Helper()
	got := slices.SortedFunc(maps.Keys(o.has), netip.Addr.Compare)
	slices.SortFunc(want, netip.Addr.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("%s: the kernel has %v, want %v", when, got, want)
	}
}

func TestBinder(t *testing.T) {
	o := newOwner()
	for _, step := range []struct {
		name string
		do   func() error
		want []netip.Addr
	}{
		{"nothing", func() error { return o.Bind() }, nil},
		{"bind", func() error { return o.Bind(ip4, ip6) }, []netip.Addr{ip4, ip6}},
		{"again", func() error { return o.Bind(ip6, quiet4) }, []netip.Addr{ip4, ip6, quiet4}},
		{"unbind", func() error { return o.Unbind(ip4, somebodyElse) }, []netip.Addr{ip6, quiet4}},
		{"the link was down", func() error { delete(o.has, ip6); return o.Check() }, []netip.Addr{ip6, quiet4}},
		{"clear", o.Clear, nil},
		{"check", o.Check, nil},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		o.want(t, step.name, step.want...)
	}
	calls := o.calls
	if err := errors.Join(o.Bind(), o.Unbind(), o.Check(), o.Clear()); err != nil || o.calls != calls {
		t.Errorf("error %v and %d calls where there is nothing to do", err, o.calls-calls)
	}
}

// TestBinderOutlivesFaults: one address that fails does not stop the others, and
// Check makes up for it.
func TestBinderOutlivesFaults(t *testing.T) {
	o := newOwner(somebodyElse) // left by a crash
	o.refuses[ip4] = true
	if err := o.Bind(ip4, ip6); !errors.Is(err, errKernel) || !strings.Contains(err.Error(), ip4.String()) {
		t.Errorf("error %v", err)
	}
	o.want(t, "refused", ip6, somebodyElse)
	o.refuses[somebodyElse] = true
	err := o.Check()
	if err == nil || !strings.Contains(err.Error(), ip4.String()) || !strings.Contains(err.Error(), somebodyElse.String()) {
		t.Errorf("error %v, want both faults", err)
	}
	clear(o.refuses)
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	o.want(t, "made up for", ip4, ip6)

	o.refuses[ip6] = true
	if err := o.Unbind(ip6, ip4); !errors.Is(err, errKernel) {
		t.Errorf("error %v", err)
	}
	o.want(t, "not given back", ip6)
	o.mute = true
	if err := o.Check(); !errors.Is(err, errKernel) {
		t.Errorf("error %v", err)
	}
	clear(o.refuses)
	o.mute = false
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	o.want(t, "given back")
}

// TestBinderInTheKernel: a second Binder has no state of the first, like the
// run after a crash.
func TestBinderInTheKernel(t *testing.T) {
	host := labtest.New(t).Porter()
	var index int
	do := func(f func() error) {
		t.Helper()
		if err := host.Do(f); err != nil {
			t.Fatal(err)
		}
	}
	do(func() error {
		ifi, err := net.InterfaceByName(lab.Interface)
		if err == nil {
			index = ifi.Index
		}
		return err
	})
	want := func(when string, want ...netip.Addr) {
		t.Helper()
		do(func() error {
			got, err := lan.BoundAddrs(index)
			if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
				t.Errorf("%s: bound (-want +got):\n%s", when, diff)
			}
			return err
		})
	}
	before, err := host.AddrsNow()
	if err != nil {
		t.Fatal(err)
	}
	first, second := claim.NewBinder(func() int { return index }), claim.NewBinder(func() int { return index })
	do(func() error { return first.Bind(ip4, quiet4, ip6) })
	do(func() error { return first.Unbind(quiet4) })
	want("the first run", ip4, ip6)
	do(second.Clear)
	want("the second run")
	do(first.Check)
	want("put back", ip4, ip6)
	do(func() error {
		if err := first.Bind(host.Addr4()); err == nil || !strings.Contains(err.Error(), host.Addr4().String()) {
			t.Errorf("error %v for the host's own address", err)
		}
		return nil
	})
	do(first.Clear)
	want("cleared")
	after, err := host.AddrsNow()
	if diff := cmp.Diff(fmt.Sprint(before), fmt.Sprint(after)); diff != "" || err != nil {
		t.Errorf("the host's addresses (-before +after):\n%s%v", diff, err)
	}
}
