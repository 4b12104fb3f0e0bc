package porter

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/config"
	"nightporter/internal/due"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
	"nightporter/internal/registration"
)

// sightingQueue is how many sightings may wait for the loop. Each watched
// machine has at most a few on their way at once.
const sightingQueue = 8192

// questions is how many we would send in a second to all machines that are
// awaited together. It is plenty for a house, and nothing for a LAN; at the pace
// of a single machine a thousand would be asked a hundred thousand times.
const questions = 4000

const (
	// heldOctets is how much memory the packets that wait may take, of all
	// machines together.
	heldOctets = 16 << 20

	// heldReserve is how much each machine has besides, whatever is sent to
	// others: enough for a dozen connections and a large datagram.
	heldReserve = 16 << 10
)

// errStopping answers whoever asks while the porter ends.
var errStopping = errors.New("nightporter is stopping")

// Porter is the daemon's core. Make it with New, then Run it.
type Porter struct {
	started *config.Config // what the sockets were opened with
	conf    *config.Config
	log     *slog.Logger
	metrics *metrics.Metrics
	nics    []*nic // never others; what is open on each is
	watcher *lan.Watcher
	trust   atomic.Pointer[registration.Policy]

	sightings chan sighting
	requests  chan func()
	changes   chan lan.Changes // of the host's network
	kicks     chan struct{}    // a reader has failed
	running   chan struct{}    // closed once the loop runs
	stopped   chan struct{}    // closed once the loop has ended

	// The loop's own.
	residents map[string]*resident // by name
	byMAC     map[machine.MAC]*resident
	timers    due.Queue[*resident]
	inquiries due.Queue[*resident] // when to ask its services whether they are ready
	budget    *handover.Budget
	awaited   map[*resident]bool // those that wake or arrive
	sentry    sentry
	journal   book
	reading   context.Context // of the readers; nil while there are none
	chores    []func()        // of the event that is being handled
	disowned  bool            // in bind mode: the kernel lacks what is claimed, for want of the guard
}

// New opens the interfaces that conf names. It has to be given a book before Run;
// nothing is answered earlier.
func New(conf *config.Config, m *metrics.Metrics, log *slog.Logger) (*Porter, error) {
	p := &Porter{
		started: conf, conf: conf, log: log, metrics: m,
		sightings: make(chan sighting, sightingQueue),
		requests:  make(chan func()),
		changes:   make(chan lan.Changes),
		kicks:     make(chan struct{}, 1),
		running:   make(chan struct{}),
		stopped:   make(chan struct{}),
		budget:    handover.NewBudget(heldOctets, heldReserve),
		residents: make(map[string]*resident),
		byMAC:     make(map[machine.MAC]*resident),
		awaited:   make(map[*resident]bool),
	}
	p.setTrust(conf)
	var err error
	if p.watcher, err = lan.Watch(log); err != nil { // before the first look, so that nothing is missed
		return nil, err
	}
	if err := p.openNICs(conf); err != nil {
		p.Close()
		return nil, err
	}
	if err := p.configure(conf.Machines); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close removes the guard and closes the interfaces. Run has ended, or was not
// called.
func (p *Porter) Close() {
	p.sentry.close()
	for _, n := range p.nics {
		n.Close()
	}
	if p.watcher != nil {
		p.watcher.Close()
	}
}

func (p *Porter) setTrust(conf *config.Config) {
	t, err := registration.ParseTrust(conf.Registration.Trust)
	if err != nil {
		t = registration.Self // the strictest; the configuration was checked before
	}
	p.trust.Store(&registration.Policy{Trust: t, Allow: conf.Registration.Allow, Token: conf.Registration.Token})
}

// Run answers, watches and wakes until ctx ends; then it releases every claim. An
// interface that goes is waited for.
func (p *Porter) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The readers outlive the loop, so that a machine which speaks during the
	// release is not answered in the meantime.
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	p.reading = reading
	for _, n := range p.nics {
		n.listen(reading, p.kick)
	}
	var g errgroup.Group
	g.Go(func() error { p.follow(ctx); return nil })
	p.loop(ctx)
	cancel()
	stopReading()
	for _, n := range p.nics {
		if err := n.link.Load().readers.Wait(); err != nil {
			return err
		}
	}
	return g.Wait()
}

// loop owns the machines. Everything that happens to them happens here, one
// thing after the other.
func (p *Porter) loop(ctx context.Context) {
	defer close(p.stopped)
	for _, n := range p.nics {
		p.inspect(n, lan.Change{}) // the cable may be out from the start
	}
	close(p.running)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.leave()
			return
		case s := <-p.sightings:
			p.see(s)
		case f := <-p.requests:
			p.drain()
			f()
		case c := <-p.changes:
			p.changed(c)
		case <-p.kicks:
			p.failed()
		case <-timer.C:
		}
		p.tick()
		p.publish()
		if next := p.next(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// drain takes what else the readers saw, so that a crowd of machines costs one
// new view and not one each. It is bounded, requests and timers wait.
func (p *Porter) drain() {
	for range sightingQueue {
		select {
		case s := <-p.sightings:
			p.see(s)
		default:
			return
		}
	}
}

func (p *Porter) see(s sighting) {
	s.taken()
	r := s.watch.resident
	if r.watch != s.watch {
		return // it registered anew or was forgotten meanwhile
	}
	switch s.kind {
	case sawFrame:
		p.tell(r, machine.Heard{})
	case sawTest:
		p.tell(r, machine.Heard{Addr: s.addr.ip})
	case sawUse:
		p.tell(r, machine.Heard{Addr: s.addr.ip, InUse: true})
	case sawPacket:
		p.heardPacket(r, s.addr.ip)
	case sawAnswer:
		p.heardAnswer(r, s.addr.ip)
	case sawAsked:
		p.asked(r)
	case sawTold:
		p.pin(r)
	case sawAccepted:
		p.accepted(r, s.door.service)
	case sawObjected:
		p.objected(r, s.door.service)
	case sawKnock:
		if r.State() == machine.Asleep {
			r.knockedAt = s.at
		}
		p.tell(r, machine.Knocked{Service: s.door.service, Source: s.source})
	case sawConflict:
		p.tell(r, machine.Conflicted{Addr: s.addr.ip, By: s.by})
	case sawSuppressed:
		p.logSuppressed(r, s)
	}
}

// tick delivers what is due. What the readers saw goes first: a frame that has
// come in already must not be overtaken by the claim of its sender's address.
func (p *Porter) tick() {
	now := time.Now()
	p.drain()
	for r, ok := p.timers.Pop(now); ok; r, ok = p.timers.Pop(now) {
		p.tell(r, machine.Ticked{Pace: p.pace()})
		p.drain()
	}
	for r, ok := p.inquiries.Pop(now); ok; r, ok = p.inquiries.Pop(now) {
		p.inquire(now, r)
	}
	for _, n := range p.nics {
		p.attendNIC(now, n)
		n.announcer.Run(now)
		n.reminders.run(now, n.remind)
		p.recoverLost(n)
	}
	if p.sentry.round(now) && p.bound() {
		p.checkOwned()
	}
}

// await notes whether r is awaited.
func (p *Porter) await(r *resident) {
	if s := r.State(); s == machine.Waking || s == machine.Arriving {
		p.awaited[r] = true
	} else {
		delete(p.awaited, r)
	}
}

// pace returns how often one of those that are awaited may be asked, about any
// of its services, so that all get their share of the questions.
func (p *Porter) pace() time.Duration {
	return time.Second * time.Duration(len(p.awaited)) / questions
}

// recoverLost treats every machine whose speech may not have reached us as
// having spoken: its reader has stopped answering for it already.
func (p *Porter) recoverLost(n *nic) {
	lost := n.reader.lost.Load()
	if lost == n.lostBefore {
		return
	}
	p.log.Warn("too busy to hear every machine", "interface", n.Name(), "lost", lost-n.lostBefore)
	n.lostBefore = lost
	for _, r := range p.sorted() {
		if r.nic != n {
			continue
		}
		if ip, silenced := r.silenced(); silenced {
			p.tell(r, machine.Heard{Addr: ip})
		}
	}
}

func (p *Porter) next() time.Time {
	moments := []time.Time{p.timers.Next(), p.inquiries.Next(), p.sentry.next}
	for _, n := range p.nics {
		moments = append(moments, n.announcer.Next(), n.reminders.next(), n.again, n.restate)
	}
	var next time.Time // zero: nothing is due
	for _, at := range moments {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// publish gives the readers a new view where machines came or went.
func (p *Porter) publish() {
	for _, n := range p.nics {
		if !n.stale {
			continue
		}
		v := newView(&p.conf.Wake)
		for _, r := range p.residents {
			if r.nic == n && r.attention() != ignored {
				v.add(r)
			}
		}
		n.reader.view.Store(v)
		// A filter that is not set is tried again with the next thing that
		// happens.
		err := n.link.Load().filter(v, n.own())
		if n.out() != nil {
			err = nil // a new link gets the filter
		}
		if err != nil && !n.stuck {
			p.log.Error("cannot set the kernel filter", "interface", n.Name(), "err", err)
		}
		n.stuck = err != nil
		n.stale = err != nil
	}
}

// leave releases everything. The second announcement a second later is for
// those who missed the first.
func (p *Porter) leave() {
	p.drain() // who tests an address must not hear of it
	held := false
	for _, r := range p.residents {
		if r.nic == nil {
			continue
		}
		held = held || awaitsAtOurs(r)
		p.tell(r, machine.Stopped{Wake: p.conf.Wake.OnExit == config.OnExitAll})
	}
	if !held {
		return
	}
	p.listen(lastWord)
	for _, n := range p.nics {
		n.announcer.Run(time.Now())
	}
	p.log.Info("all claims released")
}

// listen waits, and stops telling about each address that its machine tests
// meanwhile: it may have been woken a moment ago.
func (p *Porter) listen(d time.Duration) {
	for end := time.After(d); ; {
		select {
		case s := <-p.sightings:
			if s.taken(); s.kind == sawTest {
				s.watch.resident.nic.announcer.Cancel(s.addr.ip)
			}
		case <-end:
			return
		}
	}
}

// lastWord is when the last announcement goes out; the porter has 2 s to end.
const lastWord = 1010 * time.Millisecond

// inLoop runs f on the loop and waits for it.
func (p *Porter) inLoop(ctx context.Context, f func()) error {
	done := make(chan struct{})
	request := func() {
		f()
		p.publish()
		close(done)
	}
	select {
	case p.requests <- request:
	case <-p.stopped:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
	<-done
	return nil
}
