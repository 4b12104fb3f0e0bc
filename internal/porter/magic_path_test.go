package porter

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/wakecmd"
)

// cardMAC is that of a card that wakes nas, which speaks with another.
var cardMAC = ether.MAC{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa2}

// magicFor returns where the magic packets for a card went.
func magicFor(x *fixture, mac ether.MAC) (to []ether.MAC) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.sent {
		if s.Kind != lan.ARPRequest && strings.HasSuffix(string(s.Frame), string(lan.MagicPacket(mac, nil))) {
			to = append(to, s.Dst)
		}
	}
	return to
}

func wantMagic(x *fixture, mac ether.MAC, to ...ether.MAC) {
	x.Helper()
	if got := magicFor(x, mac); !slices.Equal(got, to) {
		x.Errorf("magic packets for %v went to %v, want %v", mac, got, to)
	}
}

// along is nas with a path of its own.
func along(p machine.WakePath) machine.Spec {
	s := nas()
	s.Path = p
	return s
}

// What the configuration says of the way of magic packets holds at once, also for a
// machine that has registered and cannot do so again.
func TestWakePath(t *testing.T) {
	all := ether.Broadcast
	withCard := nas()
	withCard.WakeMAC = cardMAC
	for _, c := range []struct {
		name       string
		registered machine.Spec
		configured machine.Spec
		card       ether.MAC
		want       []ether.MAC
	}{
		{"none", nas(), nas(), nasMAC, []ether.MAC{all, nasMAC, all}},
		{"a card of its own", nas(), withCard, cardMAC, []ether.MAC{all, cardMAC, all}},
		{"a card that it named itself", withCard, nas(), cardMAC, []ether.MAC{all, cardMAC, all}},
		{"fewer transports", nas(), along(machine.WakePath{Transports: []string{config.TransportUDP}}), nasMAC, []ether.MAC{all}},
		{"no transport", nas(), along(machine.WakePath{Transports: []string{}, Command: []string{"/bin/wake"}}), nasMAC, nil},
		{"an interface of the porter's", nas(), along(machine.WakePath{Interface: lab.Interface}), nasMAC, []ether.MAC{all, nasMAC, all}},
		{"no transport and no interface", nas(), along(machine.WakePath{Transports: []string{}, Interface: "none0"}), nasMAC, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			withLoop(t, nil, func(x *fixture) {
				x.commands = new(fakeCommands)
				e := x.asleep(c.registered)
				x.configured(c.configured)
				x.forgetSent()
				x.hear(syn(nas4, 22))
				wantMagic(x, c.card, c.want...)
				other := map[ether.MAC]ether.MAC{nasMAC: cardMAC, cardMAC: nasMAC}[c.card]
				wantMagic(x, other)
				if got, want := e.shown(time.Now()).WakeMAC, (map[ether.MAC]ether.MAC{cardMAC: cardMAC}[c.card]); got != want {
					t.Errorf("shown with the card %v, want %v", got, want)
				}
				if n := x.logged("level=WARN"); n > 0 {
					t.Errorf("warned:\n%s", &x.output)
				}
			})
		})
	}
}

// An interface that does not exist is reported once, until it has existed.
func TestWakeInterfaceMissing(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.asleep(nas())
		x.configured(along(machine.WakePath{Interface: "none0"}))
		x.forgetSent()
		x.hear(syn(nas4, 22))
		x.pass(2 * x.conf.Wake.Interval)
		wantMagic(x, nasMAC)
		if n := x.logged("event=wake_interface_failed machine=nas interface=none0"); n != 1 || x.logged("level=WARN") != 1 {
			t.Errorf("%d lines, want one warning:\n%s", n, &x.output)
		}
		if x.logged(`msg="magic packet not sent" event=magic_failed machine=nas attempt=3`) != 1 {
			t.Errorf("the log:\n%s", &x.output)
		}
	})
}

// A datagram that cannot go where wake_to says does not keep the others back.
func TestWakeToUnreachable(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.asleep(nas())
		x.configured(along(machine.WakePath{To: netip.MustParseAddrPort("10.77.0.10:0")})) // no datagram goes to port 0
		x.forgetSent()
		x.hear(syn(nas4, 22))
		wantMagic(x, nasMAC, ether.Broadcast, nasMAC, ether.Broadcast)
		if x.logged("event=magic_failed machine=nas attempt=1 err=\"send a datagram to 10.77.0.10:0: ") != 1 {
			t.Errorf("the log:\n%s", &x.output)
		}
	})
}

// fakeCommands keeps what was to be run.
type fakeCommands struct{ jobs []wakecmd.Job }

func (f *fakeCommands) Start(j wakecmd.Job) { f.jobs = append(f.jobs, j) }

func (f *fakeCommands) Stop() {}

// A command runs with each round of a wake, and its environment says what it is for.
func TestWakeCommand(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		ran := new(fakeCommands)
		x.commands = ran
		e := x.asleep(nas())
		spec := along(machine.WakePath{Command: []string{"/bin/wake", "nas"}})
		spec.WakeMAC = cardMAC
		x.configured(spec)
		x.hear(syn(nas4, 22))
		x.pass(x.conf.Wake.Interval)
		job := wakecmd.Job{Machine: nasMAC, Name: "nas", Command: spec.Path.Command, Attempt: 1, Env: []string{
			"NIGHTPORTER_MACHINE=nas", "NIGHTPORTER_MAC=" + nasMAC.String(), "NIGHTPORTER_WAKE_MAC=" + cardMAC.String(),
			"NIGHTPORTER_ADDRESSES=" + nas4.String() + " " + nas6.String(), "NIGHTPORTER_TRIGGER=tcp", "NIGHTPORTER_ATTEMPT=1",
		}}
		second := job
		second.Attempt, second.Env = 2, append(slices.Clone(job.Env[:5]), "NIGHTPORTER_ATTEMPT=2")
		if diff := cmp.Diff([]wakecmd.Job{job, second}, ran.jobs); diff != "" {
			t.Errorf("jobs (-want +got):\n%s", diff)
		}

		x.loop.waker().commandFailed(job, errors.New("exit status 3"))
		last := x.events.last().Event
		if want := (journal.Event{Kind: journal.CommandFailed, At: last.At, Seq: last.Seq, Machine: "nas", MAC: nasMAC, Attempts: 1, Reason: "exit status 3"}); !reflect.DeepEqual(last, want) {
			t.Errorf("event %+v, want %+v", last, want)
		}

		ran.jobs = nil
		x.dispatch(e, machine.Stopped{Wake: true})
		if len(ran.jobs) != 1 || ran.jobs[0].Machine != nasMAC {
			t.Errorf("at the end: %+v", ran.jobs)
		}
	})
}

// A machine that counts as up gets a magic packet if a wake is asked for, and no
// command.
func TestNoCommandWhileItIsUp(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		ran := new(fakeCommands)
		x.commands = ran
		x.configured(along(machine.WakePath{Command: []string{"/bin/wake"}}))
		x.dispatch(x.machine(nas()), machine.WakeRequested{Trigger: machine.ByAPI, By: "test"})
		if len(magicFor(x, nasMAC)) == 0 || len(ran.jobs) > 0 {
			t.Errorf("%d magic packets, jobs %+v", len(magicFor(x, nasMAC)), ran.jobs)
		}
	})
}

// The card of one machine does not wake another, but a machine may get a second one.
func TestCardIsNotAnotherMachine(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.register(nas())
		other := tv()
		other.WakeMAC = nasMAC
		err := x.configure([]machine.Spec{other})
		if want := `machines[0].wake_mac: found ` + nasMAC.String() + `: "nas" has registered with that as its mac`; err == nil || err.Error() != want {
			t.Errorf("configured: %v, want %s", err, want)
		}
		err = x.admit(admission{Request: request(other), nic: x.n, fromMachine: true})
		if err == nil || !strings.Contains(err.Error(), `which is the mac of "nas"`) {
			t.Errorf("registered: %v", err)
		}
		bond := nas()
		bond.MAC, bond.WakeMAC = ether.MAC{2, 0, 0, 0, 0, 0xb0}, nasMAC
		if err := x.admit(admission{Request: request(bond), nic: x.n, fromMachine: true, replaced: nasMAC}); err != nil { // it takes the place of nas
			t.Error(err)
		}
		if e := x.machines.named["nas"]; e.Spec().MAC != bond.MAC || e.card() != nasMAC {
			t.Errorf("nas is %v, woken by %v", e.Spec().MAC, e.card())
		}
	})
}
