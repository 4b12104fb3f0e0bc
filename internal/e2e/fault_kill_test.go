package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// TestFaultKill: the daemon is killed at random moments while machines register, fall asleep,
// are woken and start. The next run knows what was acknowledged, answers for the sleeping
// machines and no others, and has lost no counted event.
func TestFaultKill(t *testing.T) {
	rounds := soak(5, 100)
	t.Logf("%d rounds, seed %d", rounds, *seed)
	const conf = fastProbe + "wake: {interval: 1s}\n"
	f := openFleet(t, conf, *seed, time.Minute+time.Duration(rounds)*20*time.Second)
	if !f.register(f.ctx, f.idle) {
		t.Fatal("not registered")
	}
	f.fallAsleep(f.idle)
	f.waitMove(0, f.idle.Name(), "settling", "asleep", machine.WhySilent)
	f.waitStored("asleep", 1)
	began := time.Now()
	var down time.Duration
	for round := range rounds {
		shown := f.runUntilKilled()
		killed := time.Now()
		f.actWithoutDaemon()
		mode, trust := modes[round/2%2], []string{"self", "open"}[round%2]
		f.restart(fmt.Sprintf("%sregistration: {trust: %s}\n%s", conf, trust, mode.conf))
		down += time.Since(killed)
		f.wantConsistent(mode.name == "bind")
		f.wantNothingLost(shown)
		f.wakeSome()
		if t.Failed() {
			t.Fatalf("in round %d (%s, trust: %s)", round, mode.name, trust)
		}
	}
	f.wantPlausibleSleep(time.Since(began), down)
	var free []netip.Addr
	for _, m := range f.members {
		if m.State() == lab.Awake {
			free = append(free, m.addrs()...)
		}
	}
	waitUnguarded(f.harness, free...)
}

// runUntilKilled lets the machines run until the daemon is killed, at a random moment or just after a
// random acknowledgment. It returns the metrics of a moment before, because the last changes
// are written without waiting.
func (f *randomMachines) runUntilKilled() (shown labdaemon.Samples) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	var promises atomic.Int64
	promises.Store(1 + f.random.Int64N(8))
	now := make(chan struct{}, 1)
	at := time.After(200*time.Millisecond + time.Duration(f.random.Int64N(int64(2300*time.Millisecond))))
	var all sync.WaitGroup
	for _, m := range f.members {
		if m == f.idle {
			continue
		}
		all.Go(func() {
			f.act(ctx, m, func() {
				if promises.Add(-1) == 0 {
					now <- struct{}{}
				}
			})
		})
	}
	var before labdaemon.Samples
	for scrape := time.NewTicker(150 * time.Millisecond); ; {
		select {
		case <-scrape.C:
			shown = before
			s, err := f.daemon.Metrics(f.ctx)
			f.must(err)
			before = s
			continue
		case <-now:
		case <-at:
		}
		scrape.Stop()
		break
	}
	cancel() // errors are expected from here
	f.daemon.Kill()
	all.Wait()
	return shown
}

// actWithoutDaemon is the time without a daemon: some machines start, and some that have registered fall
// asleep.
func (f *randomMachines) actWithoutDaemon() {
	for _, m := range f.members {
		lucky := m.random.IntN(3) == 0
		switch {
		case m == f.idle:
		case m.State() == lab.Asleep && f.claimed(m) && lucky:
			f.powerOn(m)
		case m.State() == lab.Awake && m.said && !lucky:
			f.fallAsleep(m)
		}
	}
	pause(f.ctx, time.Duration(f.random.IntN(400))*time.Millisecond)
}

// restart starts the next daemon, and keeps the log of the last one.
func (f *randomMachines) restart(conf string) {
	f.Helper()
	f.last = f.daemon
	d, err := f.daemon.Again(f.ctx, conf)
	f.must(err)
	f.daemon = d
	for _, unwanted := range []string{"DATA RACE", "unfit", "resume_failed"} {
		if strings.Contains(f.last.Log.Text(), unwanted) {
			f.Errorf("the last daemon said %q:\n%s", unwanted, f.last.Log.Text())
		}
	}
}

// states returns the daemon's states of the machines.
func (f *randomMachines) states() map[string]string {
	f.Helper()
	_, body, err := f.daemon.Get(f.within(5*time.Second), "/api/v1/machines")
	f.must(err)
	var list []struct{ Name, State string }
	f.must(json.Unmarshal([]byte(body), &list))
	states := make(map[string]string)
	for _, m := range list {
		states[m.Name] = m.State
	}
	return states
}

// wantConsistent waits until the daemon's states are right, and then checks all that other hosts can
// see of it.
func (f *randomMachines) wantConsistent(bound bool) {
	f.Helper()
	f.waitSteady()
	f.waitStatesRight()
	table := ruleset(f.harness)[guardTable]
	own := []string{"10.77.0.2/24", "fd77::2/64"}
	for _, m := range f.members {
		if m.promised == "" {
			continue // no registration was acknowledged
		}
		if got := knownServices(f.harness, m.Name()); !m.knows(got) {
			f.Errorf("%s is known for %s, and was answered OK. for %s; unanswered are %v", m.Name(), got, m.promised, m.open)
		}
		if happened(m.Machine, lab.DADFailed) {
			f.Fatalf("%s found an address of its own in use", m.Name())
		}
		asleep := m.State() == lab.Asleep
		_, err := f.daemon.Log.Wait(cancelled(), 0, labdaemon.Moved(m.Name(), "", "asleep", ""))
		claimed := err == nil // by this daemon, now or before
		for _, ip := range m.addrs() {
			owner := m.MAC()
			if asleep {
				owner = f.lan.Porter().MAC()
			}
			f.wantNeighbor(f.lan.Client(), ip, owner)
			if held := contains(table, hex.EncodeToString(ip.AsSlice())); held != asleep && held != claimed {
				f.Errorf("%v of %s, which is %s: held by the guard is %v", ip, m.Name(), m.State(), held)
			}
			if asleep && bound {
				own = append(own, netip.PrefixFrom(ip, ip.BitLen()).String())
			}
		}
	}
	f.wantAddresses(own)
}

// cancelled returns a context for a condition that holds already or not at all.
func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// waitStatesRight waits until the daemon's state of each machine is right.
func (f *randomMachines) waitStatesRight() {
	f.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		wrong := ""
		for name, state := range f.states() {
			i := slices.IndexFunc(f.members, func(m *member) bool { return m.Name() == name })
			truth := f.members[i].State()
			// An awake machine that has registered may be settling.
			if ok := state == "asleep"; ok != (truth == lab.Asleep) || !ok && state != "awake" && state != "settling" {
				wrong += fmt.Sprintf(" %s is %s, and taken for %s;", name, truth, state)
			}
		}
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			f.Fatalf("10 s after the start%s the daemon said:\n%s", wrong, f.daemon.Log.Text())
		}
	}
}

// wantAddresses compares the addresses of the porter's interface without link-local ones.
func (f *randomMachines) wantAddresses(want []string) {
	f.Helper()
	got := slices.DeleteFunc(porterAddresses(f.harness), func(s string) bool { return strings.HasPrefix(s, "fe80:") })
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.Errorf("the kernel owns %v, want %v", got, want)
	}
}

// wakeSome wakes about half of the sleeping machines by a client's connection.
func (f *randomMachines) wakeSome() {
	f.Helper()
	var all sync.WaitGroup
	for _, m := range f.members {
		if m == f.idle || m.State() != lab.Asleep || m.random.IntN(2) == 0 {
			continue
		}
		ip := m.anyAddr()
		all.Go(func() {
			c, err := callOnce(f.within(15*time.Second), f.lan.Client(), netip.AddrPortFrom(ip, 22))
			if err != nil {
				f.Errorf("%s cannot be woken: %v", m.Name(), err)
				return
			}
			c.conn.Close()
			if want := lab.Banner(m.Name()); c.banner != want {
				f.Errorf("%v said %q, want %q", ip, c.banner, want)
			}
		})
	}
	all.Wait()
}
