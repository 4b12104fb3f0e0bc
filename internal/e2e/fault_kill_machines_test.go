package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/waittest"
)

// randomMachines is a harness with machines that register, sleep and start at random.
type randomMachines struct {
	*harness
	random  *rand.Rand
	members []*member
	idle    *member           // sleeps all the time
	last    *labdaemon.Daemon // the daemon before
}

// member is one machine, with what the daemon has acknowledged.
type member struct {
	*lab.Machine
	random *rand.Rand
	asked  int  // registrations so far; each is for another service
	said   bool // it has registered, and not slept since

	mu       sync.Mutex
	promised string   // the services of its last registration that was answered OK.
	open     []string // of later registrations without an answer
}

// machineConfigs have machines with and without announcements, with addresses of one family and
// of both, and one that tests its IPv4 address.
var machineConfigs = []lab.MachineConfig{
	{Name: "quiet", Boot: 120 * time.Millisecond, Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.31/24")}},
	{Name: "loud", Boot: 250 * time.Millisecond, Announce: true,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.32/24"), netip.MustParsePrefix("fd77::32/64")}},
	{Name: "shy", Boot: 60 * time.Millisecond, ARPProbe: true,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.33/24"), netip.MustParsePrefix("fd77::33/64")}},
	{Name: "careful", Boot: 180 * time.Millisecond, ARPProbe: true, Announce: true, Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.34/24")}},
	{Name: "idle", Boot: 100 * time.Millisecond,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.35/24"), netip.MustParsePrefix("fd77::35/64")}},
}

func openFleet(t *testing.T, conf string, seed uint64, limit time.Duration) *randomMachines {
	t.Helper()
	f := &randomMachines{harness: openFor(t, conf, limit), random: rand.New(rand.NewPCG(seed, 0))}
	for i, cfg := range machineConfigs {
		cfg.Services = []lab.ServiceConfig{{Network: "tcp", Port: 22}}
		m, err := f.lan.AddMachine(cfg)
		f.must(err)
		f.members = append(f.members, &member{Machine: m, random: rand.New(rand.NewPCG(seed, uint64(i+1)))})
	}
	f.idle = f.members[len(f.members)-1]
	t.Cleanup(func() {
		if t.Failed() && f.last != nil {
			t.Logf("the log of the daemon that was killed last:\n%s\nthe log of the next:\n%s", f.last.Log.Text(), f.daemon.Log.Text())
			for _, m := range f.members {
				t.Logf("%s (%s): %v", m.Name(), m.State(), lastOf(m.Log(), 20))
			}
		}
	})
	return f
}

// addrs returns the addresses of a machine.
func (m *member) addrs() (all []netip.Addr) {
	for _, ip := range []netip.Addr{m.Addr4(), m.Addr6()} {
		if ip.IsValid() {
			all = append(all, ip)
		}
	}
	return all
}

func (m *member) anyAddr() netip.Addr {
	all := m.addrs()
	return all[m.random.IntN(len(all))]
}

// register registers m for new services, and reports whether the answer was OK.
func (f *randomMachines) register(ctx context.Context, m *member) bool {
	m.asked++
	ports := []any{"22/tcp", fmt.Sprintf("%d/tcp", 1000+m.asked)}
	var monitor []monitored
	wanted := ""
	for i, ip := range m.addrs() {
		monitor = append(monitor, monitored{ip, ports})
		if i > 0 {
			wanted += ", "
		}
		wanted += fmt.Sprintf("%v %v", ip, ports)
	}
	m.mu.Lock()
	m.open = append(m.open, wanted)
	m.mu.Unlock()
	answer, err := f.daemon.Register(ctx, m.Host, registration(m.Name(), m.MAC(), monitor...))
	if answer != "OK." {
		if err == nil && answer != "" && ctx.Err() == nil {
			f.Errorf("%s was answered %q", m.Name(), answer)
		}
		return false
	}
	m.mu.Lock()
	m.promised, m.open = wanted, nil
	m.mu.Unlock()
	m.said = true
	return true
}

// knows reports whether the daemon's services are those that were acknowledged, or those of a
// later request.
func (m *member) knows(services string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return services == m.promised || slices.Contains(m.open, services)
}

// fallAsleep puts an awake machine to sleep.
func (f *randomMachines) fallAsleep(m *member) {
	if err := m.Sleep(f.ctx); err != nil {
		f.Error(err)
	}
	m.said = false
}

// act lets m register, sleep and be woken until ctx ends. It calls promised after each
// acknowledged registration.
func (f *randomMachines) act(ctx context.Context, m *member, promised func()) {
	for ctx.Err() == nil {
		switch m.State() {
		case lab.Awake:
			if !f.register(ctx, m) {
				continue
			}
			promised()
			pause(ctx, time.Duration(m.random.IntN(60))*time.Millisecond)
			if ctx.Err() == nil {
				f.fallAsleep(m)
				pause(ctx, time.Duration(m.random.IntN(900))*time.Millisecond)
			}
		case lab.Asleep:
			f.wakeSomehow(ctx, m)
		default:
			pause(ctx, 5*time.Millisecond)
		}
	}
}

// wakeSomehow wakes m in one of several ways, or not at all.
func (f *randomMachines) wakeSomehow(ctx context.Context, m *member) {
	how := m.random.IntN(4)
	if how > 1 && !f.claimed(m) {
		// A machine that starts in the short silence of these tests may be in a pause of an
		// address test when it is claimed.
		pause(ctx, 20*time.Millisecond)
		return
	}
	switch how {
	case 0, 1:
		if c, err := callOnce(ctx, f.lan.Client(), netip.AddrPortFrom(m.anyAddr(), 22)); err == nil {
			c.conn.Close()
		} else if ctx.Err() == nil {
			f.Errorf("%s was not woken: %v", m.Name(), err)
		}
	case 2:
		// The request may fail if the daemon is killed.
		_, _, _ = f.daemon.Post(ctx, "/api/v1/machines/"+m.Name()+"/wake")
		pause(ctx, 300*time.Millisecond)
	case 3:
		f.powerOn(m)
		pause(ctx, 300*time.Millisecond)
	}
}

// claimed reports whether the daemon's last state of m is asleep.
func (f *randomMachines) claimed(m *member) bool {
	state := ""
	_, _ = f.daemon.Log.Wait(cancelled(), 0, func(e labdaemon.Entry) bool {
		if e.Field("event") == "moved" && e.Field("machine") == m.Name() {
			state = e.Field("to")
		}
		return false
	})
	return state == "asleep"
}

// powerOn starts a machine, which may be starting already.
func (f *randomMachines) powerOn(m *member) {
	if err := m.PowerOn(); err != nil && m.State() == lab.Asleep {
		f.Error(err)
	}
}

func lastOf[T any](all []T, n int) []T { return all[max(0, len(all)-n):] }

// waitSteady waits until no machine is starting or shutting down.
func (f *randomMachines) waitSteady() {
	f.Helper()
	for _, m := range f.members {
		waittest.UntilWithin(f, 10*time.Second, m.Name()+" neither starts nor shuts down", func() bool {
			return m.State() == lab.Awake || m.State() == lab.Asleep
		})
	}
}
