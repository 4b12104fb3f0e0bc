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

// awakeTime is how long a machine stays awake after a wake with --keep.
const awakeTime = time.Minute

// deadMachine is the name of the machine whose wake fails.
const deadMachine = "backup"

// moreMachines are the machines of a demo with --keep, beside the first one.
func moreMachines() []lab.MachineConfig {
	sleeper := func(name, addr string, boot time.Duration) lab.MachineConfig {
		return lab.MachineConfig{
			Name: name, Addrs: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(addr), 24)}, Boot: boot, Announce: true,
			Services: []lab.ServiceConfig{{Network: "tcp", Port: 22}},
		}
	}
	dead := sleeper(deadMachine, "10.77.0.23", time.Second)
	dead.IgnoreMagic = lab.IgnoreAll
	return []lab.MachineConfig{
		sleeper("tower", "10.77.0.21", 4*time.Second),
		sleeper("media", "10.77.0.22", time.Second),
		dead,
	}
}

// keep keeps the LAN running until ctx ends, reachable from this host's loopback, with
// several machines that sleep. One of them cannot be woken.
func (d *demo) keep(ctx context.Context) error {
	d.title("More machines go to sleep")
	machines := []*lab.Machine{d.nas}
	for _, cfg := range moreMachines() {
		m, err := d.lan.AddMachine(cfg)
		if err != nil {
			return err
		}
		machines = append(machines, m)
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	g, limited := errgroup.WithContext(limited)
	for _, m := range machines {
		g.Go(func() error { return d.putToSleep(limited, m) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := d.failToWake(ctx); err != nil {
		return err
	}
	if err := d.printAddresses(machines); err != nil {
		return err
	}
	sleepers, ctx := errgroup.WithContext(ctx)
	for _, m := range machines {
		sleepers.Go(func() error { return d.sleepAgain(ctx, m) })
	}
	<-ctx.Done()
	if err := sleepers.Wait(); err != nil {
		return err
	}
	return d.stop(context.WithoutCancel(ctx))
}

// putToSleep registers a machine, puts it to sleep and waits until it is claimed.
func (d *demo) putToSleep(ctx context.Context, m *lab.Machine) error {
	seen := d.daemon.Log.Len()
	monitor := ""
	for _, ip := range []netip.Addr{m.Addr4(), m.Addr6()} {
		if ip.IsValid() {
			monitor += fmt.Sprintf(`,{"ip":%q,"port":["22/tcp"]}`, ip)
		}
	}
	answer, err := d.daemon.Register(ctx, m.Host, fmt.Sprintf(`{"mac":%q,"name":%q,"monitor":[%s]}`, m.MAC(), m.Name(), monitor[1:]))
	if err != nil {
		return err
	}
	if answer != "OK." {
		return fmt.Errorf("the porter refused the registration: %s", answer)
	}
	if err := m.Sleep(ctx); err != nil {
		return err
	}
	_, err = d.daemon.Log.Wait(ctx, seen, labdaemon.Moved(m.Name(), "settling", "asleep", ""))
	return err
}

// failToWake has the porter try to wake the machine that does not wake.
func (d *demo) failToWake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	seen := d.daemon.Log.Len()
	status, body, err := d.daemon.Post(ctx, "/api/v1/machines/"+deadMachine+"/wake")
	if err != nil {
		return err
	}
	if status != http.StatusAccepted {
		return fmt.Errorf("the porter does not wake %s: status %d: %s", deadMachine, status, body)
	}
	_, err = d.daemon.Log.Wait(ctx, seen, labdaemon.Moved(deadMachine, "waking", "asleep", ""))
	return err
}

// sleepAgain puts a machine back to sleep some time after each wake, until ctx ends.
func (d *demo) sleepAgain(ctx context.Context, m *lab.Machine) error {
	began := time.Now()
	for e := range m.Events(ctx) {
		if e.Kind != lab.NetworkUp || e.Time.Before(began) {
			continue
		}
		if !wait.For(ctx, awakeTime) {
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

// printAddresses prints the address of the page, commands to try, and an address for each
// machine.
func (d *demo) printAddresses(machines []*lab.Machine) error {
	page, err := d.lan.Proxy(d.lan.Porter(), netip.AddrPortFrom(d.lan.Porter().Addr4(), labdaemon.HTTPPort).String())
	if err != nil {
		return err
	}
	d.title(fmt.Sprintf("It runs until Ctrl-C; a machine that was woken sleeps again after %v", awakeTime))
	d.line(fmt.Sprintf("  open     http://%s/ and click Wake", page))
	d.line(fmt.Sprintf("  type     nightporter status --watch --from %s", page))
	d.line(fmt.Sprintf("           nightporter wake tower --wait 1m --from %s", page))
	d.line(fmt.Sprintf("           nightporter events --follow --from %s", page))
	for i, m := range machines {
		knock, err := d.lan.Proxy(d.lan.Client(), netip.AddrPortFrom(m.Addr4(), 22).String())
		if err != nil {
			return err
		}
		label := "connect"
		if i > 0 {
			label = ""
		}
		d.line(fmt.Sprintf("  %-8s curl -s telnet://%s    as the client of the LAN, to SSH of %s", label, knock, m.Name()))
	}
	d.line(fmt.Sprintf("  metrics  http://%s/metrics", page))
	return nil
}
