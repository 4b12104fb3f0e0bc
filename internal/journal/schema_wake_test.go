package journal

import (
	"encoding/json"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// A memory is read also where its last wake or its diary is of another version.
func TestWakeOfOtherVersions(t *testing.T) {
	at := machine.LastWake{At: night.Add(-time.Hour)}
	for _, c := range []struct {
		name, wake string
		want       machine.LastWake
	}{
		{"older", `null`, at},
		{"a trigger of tomorrow", `{"trigger":"dream","by":"x","outcome":"ready"}`, at},
		{"an outcome of tomorrow", `{"trigger":"tcp","by":"x","outcome":"asleep"}`, at},
		{"a service of tomorrow", `{"trigger":"tcp","ip":"10.77.0.20","port":"22/quic","outcome":"ready"}`, at},
		{"two services", `{"trigger":"tcp","ip":"10.77.0.20","port":"22","outcome":"ready"}`, at},
		{"less than nothing", `{"trigger":"api","by":"x","outcome":"failed","magic_packets":-1,"boot":"-1s","ready":"-2s"}`,
			machine.LastWake{At: at.At, Trigger: machine.ByAPI, By: "x", Outcome: machine.GivenUp}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := formOf(memoryOf(1), night)
			f.Wake = nil
			if err := json.Unmarshal([]byte(c.wake), &f.Wake); err != nil {
				t.Fatal(err)
			}
			m, err := f.memory()
			if err != nil {
				t.Fatal(err)
			}
			same(t, "last wake", m.LastWake, c.want)
		})
	}
	f := formOf(memoryOf(1), night)
	f.LastWake = moment{}
	if m, err := f.memory(); err != nil || m.LastWake != (machine.LastWake{}) {
		t.Errorf("a wake at no time is %+v, error %v", m.LastWake, err)
	}
}

func TestKnocksFromTheFile(t *testing.T) {
	got := knocksForm{"icmp": 1, "53/udp": 2, "22/tcp": 3, "9/tcp": 4, "22": 5, "22/quic": 6, "0022/tcp": 7, "": 8}.knocks()
	port := func(p machine.Protocol, n uint16) machine.Port { return machine.Port{Protocol: p, Number: n} }
	same(t, "knocks", got, machine.Knocks{
		{Port: port(machine.TCP, 9), Count: 4}, {Port: port(machine.TCP, 22), Count: 3}, {Port: port(machine.UDP, 53), Count: 2}, {Port: port(machine.ICMP, 0), Count: 1},
	})
}

func TestDiaryFromTheFile(t *testing.T) {
	got := diaryForm{
		"tomorrow": 1, "2025-11-31": 1, "2025-11-22": span(100 * time.Hour), "2025-11-21": -1, "2025-11-20": 0,
		"2025-11-01": 1, "2025-11-02": 2, "2025-11-03": 3, "2025-11-04": 4, "2025-11-05": 5, "2025-11-06": 6, "2025-11-07": 7, "2025-11-08": 8,
	}.diary()
	same(t, "diary", got, machine.SleepLog{
		{Date: "2025-11-02", Slept: 2}, {Date: "2025-11-03", Slept: 3}, {Date: "2025-11-04", Slept: 4}, {Date: "2025-11-05", Slept: 5},
		{Date: "2025-11-06", Slept: 6}, {Date: "2025-11-07", Slept: 7}, {Date: "2025-11-08", Slept: 8}, {Date: "2025-11-22", Slept: 25 * time.Hour},
	})
}
