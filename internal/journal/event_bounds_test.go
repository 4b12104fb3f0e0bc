package journal

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// fullMemory is as long as the record of a machine can be; with beyond it has more
// of everything than is allowed.
func fullMemory(i, beyond int) *machine.Memory {
	m := memoryOf(i)
	m.Spec.Name = strings.Repeat("\U0001F5A5", 64)
	m.Spec.Monitor, m.Spec.WakeFrom, m.Unproved, m.OtherAddrs, m.Knocks, m.SleepLog = nil, nil, nil, nil, nil, nil
	for n := range machine.MaxAddresses + beyond {
		ip := netip.MustParseAddr(fmt.Sprintf("2001:db8:1111:2222:3333:4444:%x:%x", 0x1000+i, 0x1000+n))
		port := machine.Port{Protocol: machine.TCP, Number: uint16(60000 + n)}
		a := machine.Address{IP: ip, Ports: []machine.Port{port}}
		for more := range beyond {
			a.Ports = append(a.Ports, machine.Port{Protocol: machine.TCP, Number: uint16(40000 + more)})
		}
		if n < machine.MaxSettings+beyond {
			a.Set([]machine.Port{port}, longestSettings(beyond))
		}
		m.Spec.Monitor = append(m.Spec.Monitor, a)
		m.Unproved = append(m.Unproved, ip)
		m.Knocks = append(m.Knocks, machine.PortKnocks{Port: port, Count: ^uint64(0)})
	}
	for n := range machine.MaxWakeFrom + beyond {
		m.Spec.WakeFrom = append(m.Spec.WakeFrom, netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8:1111:2222:3333:4444:5555:%x", 0x1000+n)), 128))
	}
	for n := range maxOthers + beyond {
		m.OtherAddrs = append(m.OtherAddrs, m.Spec.Monitor[n].IP)
	}
	for n := range 8 + beyond {
		m.SleepLog = append(m.SleepLog, machine.Day{Date: fmt.Sprintf("2025-%02d-%02d", 10+n/28, 1+n%28), Slept: longestDay - 1})
	}
	m.LastWake.By = strings.Repeat("\x01", maxText)
	return m
}

// longestSettings are as long as those of a service can be.
func longestSettings(beyond int) machine.Settings {
	established := false
	s := machine.Settings{
		Ready:        machine.Ready{By: machine.ByHTTPS, Path: "/" + strings.Repeat("<", 127), Status: 204},
		ReadyTimeout: machine.MaxReadyTimeout - 1, Established: &established,
	}
	for n := range machine.MaxServiceWakeFrom + beyond {
		s.WakeFrom = append(s.WakeFrom, netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8:1111:2222:3333:4444:5555:%x", 0x1000+n)), 128))
	}
	return s
}

// fullEventText is as long as an event can be: each byte is six in JSON.
func fullEventText() Event {
	e := fullEvent()
	long := strings.Repeat("\x01", 2*maxText)
	e.Machine, e.Service, e.Trigger, e.By, e.Reason = long, long, long, long, long
	e.NotReady = slices.Repeat([]string{long}, 30)
	e.bound()
	return e
}

// TestLongestLine: whatever a machine says, its record can be read back.
func TestLongestLine(t *testing.T) {
	now := stamp{wall: night, boot: "1a2b3c4d", up: century}
	for _, beyond := range []int{0, 30} {
		m := fullMemory(1, beyond)
		b, err := encode(&batch{lines: []line{{event: fullEventText(), memory: *m, carries: newestMemory}}}, now, headerLine())
		if err != nil {
			t.Fatal(err)
		}
		if most := maxLine / 8; len(b) > most {
			t.Errorf("a line of %d bytes, want %d at most", len(b), most)
		}
		// As many machines as the configuration allows by default, and all events.
		if all := (1024 + maxEvents) * len(b); all > maxRead {
			t.Errorf("%d bytes, of which %d are read", all, maxRead)
		}
		c := read(bytes.NewReader(b))
		if c.fault != nil {
			t.Fatal(c.fault)
		}
		want := *m
		want.Spec.Monitor, want.Spec.WakeFrom = within(m.Spec.Monitor), first(machine.MaxWakeFrom, m.Spec.WakeFrom)
		want.Unproved, want.OtherAddrs = first(machine.MaxAddresses, m.Unproved), first(maxOthers, m.OtherAddrs)
		want.Knocks, want.SleepLog = first(machine.MaxServices, m.Knocks), m.SleepLog.Bounded()
		same(t, "the machine", c.machines[macOf(1)], want)
		if n := machine.CountServices(want.Spec.Monitor); n != machine.MaxServices {
			t.Errorf("%d services", n)
		}
	}
}

// small is the longest file that is read in these tests.
const small = 384 << 10

// opensSmall opens a journal that may be small bytes long, and is written anew at
// once when half of it no longer counts.
func opensSmall(t *testing.T, dir string) (*Journal, Past, *logged) {
	t.Helper()
	l := &logged{}
	d, err := openFolder(dir, l.logger())
	if err != nil {
		t.Fatal(err)
	}
	d.most = small
	j, past, err := open(d, d, 1<<30, hostClock(), l.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, past, l
}

func sizeIn(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(fileIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestFileKeepsToWhatIsRead, however much is written. What counts no more makes
// room in time.
func TestFileKeepsToWhatIsRead(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := opensSmall(t, dir)
	grown := false
	for round := range 20 {
		for i := range 4 { // of about 65 KiB each
			m := fullMemory(i, 0)
			m.Since = night.Add(time.Duration(round) * time.Second)
			j.Append(Record{Memory: m})
			synced(t, j)
			size := sizeIn(t, dir)
			grown = grown || size > small*3/4
			if size > small {
				t.Fatalf("round %d: %d bytes, of which %d are read", round, size, small)
			}
		}
	}
	if !grown {
		t.Error("the file has never come near its bound")
	}
	closed(t, j)
	_, past, l := opensSmall(t, dir)
	if len(past.Machines) != 4 || past.SetAside != "" || len(l.lines("level=")) > 0 {
		t.Errorf("%d machines, set aside %q, log %q", len(past.Machines), past.SetAside, l.lines(""))
	}
}

// TestMoreThanIsRead: what finds no room is refused, and takes nothing away from
// what is there. Later it is written.
func TestMoreThanIsRead(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := opensSmall(t, dir)
	fit := 0
	for ; fit < 100; fit++ {
		j.Append(Record{Memory: fullMemory(fit, 0)})
		if err := trySync(t, j); err != nil {
			if !strings.Contains(err.Error(), fmt.Sprintf("expected at most %d", small)) || j.Healthy() == nil {
				t.Errorf("error %v, healthy %v", err, j.Healthy())
			}
			break
		}
	}
	if size := sizeIn(t, dir); fit < 3 || fit == 100 || size > small {
		t.Fatalf("%d machines in %d bytes", fit, size)
	}
	c := read(bytes.NewReader(contentOf(t, dir)))
	if len(c.machines) != fit || c.fault != nil {
		t.Errorf("%d of %d machines, fault %v", len(c.machines), fit, c.fault)
	}
	j.Append(Record{Forgotten: macOf(0)})
	j.Append(Record{Forgotten: macOf(1)})
	synced(t, j)
	if err := j.Healthy(); err != nil {
		t.Error(err)
	}
	closed(t, j)
	_, past, _ := opensSmall(t, dir)
	if len(past.Machines) != fit-1 || past.SetAside != "" {
		t.Errorf("%d machines, want %d", len(past.Machines), fit-1)
	}
}
