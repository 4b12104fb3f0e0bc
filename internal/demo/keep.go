package demo

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/wait"
)

// keptAwake is how long a machine that was woken stays up in a demo that is kept.
const keptAwake = time.Minute

// broken is the machine whose wake fails.
const broken = "backup"

// more are the machines beside the first one, which sleep in a demo that is kept.
func more() []lab.MachineConfig {
	sleeper := func(name, addr string, boot time.Duration) lab.MachineConfig {
		return lab.MachineConfig{
			Name: name, Addrs: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(addr), 24)}, Boot: boot, Announce: true,
			Services: []lab.ServiceConfig{{Network: "tcp", Port: 22}},
		}
	}
	dead := sleeper(broken, "10.77.0.23", time.Second)
	dead.IgnoreMagic = lab.IgnoreAll
	return []lab.MachineConfig{
		sleeper("tower", "10.77.0.21", 4*time.Second),
		sleeper("media", "10.77.0.22", time.Second),
		dead,
	}
}

// keep leaves everything running until ctx ends, reachable from this host's loopback:
// with several machines that sleep, one of which cannot be woken.
func (s *show) keep(ctx context.Context) error {
	s.title("More machines go to sleep, so that there is something to wake")
	machines := []*lab.Machine{s.nas}
	for _, cfg := range more() {
		m, err := s.lan.AddMachine(cfg)
		if err != nil {
			return err
		}
		machines = append(machines, m)
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	g, limited := errgroup.WithContext(limited)
	for _, m := range machines {
		g.Go(func() error { return s.putToSleep(limited, m) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := s.failToWake(ctx); err != nil {
		return err
	}
	if err := s.tellWhere(machines); err != nil {
		return err
	}
	tired, ctx := errgroup.WithContext(ctx)
	for _, m := range machines {
		tired.Go(func() error { return s.sleepAgain(ctx, m) })
	}
	<-ctx.Done()
	if err := tired.Wait(); err != nil {
		return err
	}
	return s.stop(context.WithoutCancel(ctx))
}

// putToSleep registers a machine, and lets it sleep until it is claimed.
func (s *show) putToSleep(ctx context.Context, m *lab.Machine) error {
	seen := s.d.Log.Len()
	monitor := ""
	for _, ip := range []netip.Addr{m.Addr4(), m.Addr6()} {
		if ip.IsValid() {
			monitor += fmt.Sprintf(`,{"ip":%q,"port":["22/tcp"]}`, ip)
		}
	}
	answer, err := s.d.Register(ctx, m.Host, fmt.Sprintf(`{"mac":%q,"name":%q,"monitor":[%s]}`, m.MAC(), m.Name(), monitor[1:]))
	if err != nil {
		return err
	}
	if answer != "OK." {
		return fmt.Errorf("the porter refused the registration: %s", answer)
	}
	if err := m.Sleep(ctx); err != nil {
		return err
	}
	_, err = s.d.Log.Wait(ctx, seen, labdaemon.Moved(m.Name(), "settling", "asleep", ""))
	return err
}

// failToWake has the porter try to wake the machine that is broken.
func (s *show) failToWake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	seen := s.d.Log.Len()
	status, body, err := s.d.Post(ctx, "/api/v1/machines/"+broken+"/wake")
	if err != nil {
		return err
	}
	if status != http.StatusAccepted {
		return fmt.Errorf("the porter does not wake %s: status %d: %s", broken, status, body)
	}
	_, err = s.d.Log.Wait(ctx, seen, labdaemon.Moved(broken, "waking", "asleep", ""))
	return err
}

// sleepAgain lets a machine that was woken sleep again after a while, until ctx ends.
func (s *show) sleepAgain(ctx context.Context, m *lab.Machine) error {
	began := time.Now()
	for e := range m.Events(ctx) {
		if e.Kind != lab.NetworkUp || e.Time.Before(began) {
			continue
		}
		if !wait.For(ctx, keptAwake) {
			return nil
		}
		if m.State() != lab.Awake {
			continue
		}
		if err := m.Sleep(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// tellWhere prints what there is to look at, and to try.
func (s *show) tellWhere(machines []*lab.Machine) error {
	page, err := s.lan.Proxy(s.lan.Porter(), netip.AddrPortFrom(s.lan.Porter().Addr4(), labdaemon.HTTPPort).String())
	if err != nil {
		return err
	}
	s.title(fmt.Sprintf("It goes on running until Ctrl-C; a machine that was woken sleeps again after %v", keptAwake))
	s.line(fmt.Sprintf("  open     http://%s/ and click Wake", page))
	s.line(fmt.Sprintf("  type     nightporter status --watch --from %s", page))
	s.line(fmt.Sprintf("           nightporter wake tower --wait 1m --from %s", page))
	s.line(fmt.Sprintf("           nightporter events --follow --from %s", page))
	for i, m := range machines {
		knock, err := s.lan.Proxy(s.lan.Client(), netip.AddrPortFrom(m.Addr4(), 22).String())
		if err != nil {
			return err
		}
		label := "connect"
		if i > 0 {
			label = ""
		}
		s.line(fmt.Sprintf("  %-8s curl -s telnet://%s    as the client of the LAN, to SSH of %s", label, knock, m.Name()))
	}
	s.line(fmt.Sprintf("  metrics  http://%s/metrics", page))
	return nil
}
