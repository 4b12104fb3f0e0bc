package e2e

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// carriesData matches a segment of a flow with data, on its way into a host.
func carriesData(from, to netip.AddrPort) func(lab.Frame) bool {
	return func(f lab.Frame) bool {
		var p lan.Packet
		if f.Outgoing || !isSegment(f, from, to, flagACK) || p.Parse(f.Data) != lan.Accepted {
			return false
		}
		header := int(f.Data[p.Transport+12]>>4) * 4
		return len(f.Data) > p.Transport+header
	}
}

// TestConnectionOutlivesTheSleep: a machine suspends to RAM. With wake.established a segment of
// an old connection wakes the machine and is the first that it receives. Without the key only a
// knock wakes it.
func TestConnectionOutlivesTheSleep(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, conf string
		ssh        string // in the registration
		wakes      bool
		ip         netip.Addr
	}{
		{"ipv4", "wake: {established: true}\n", `{"port":"22/tcp"}`, true, nas4},
		{"ipv6", "wake: {established: true}\n", `"22/tcp"`, true, nas6},
		{"not without the key", "", `"22/tcp"`, false, nas4},
		{"of this service", "", `{"port":"22/tcp","established":true}`, true, nas6},
		{"not of this service", "wake: {established: true}\n", `{"port":"22/tcp","established":false}`, false, nas4},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, fastProbe+c.conf)
			nas := h.addNAS(func(m *lab.MachineConfig) { m.Suspend = true })
			client, porter := h.lan.Client(), h.lan.Porter()
			old := h.call(client, nas, c.ip, 22)
			n := h.daemon.Log.Len()
			ports := []any{json.RawMessage(c.ssh), "27015/udp"}
			h.register(nas.Host, registration("nas", nas.MAC(), monitored{nas4, ports}, monitored{nas6, ports}))
			h.must(nas.Sleep(h.ctx))
			h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
			n = h.daemon.Log.Len()
			h.waitNeighbor(client, c.ip, porter.MAC())
			atPorter, atMachine := h.capturePort(porter), h.capturePort(nas.Host)

			h.must(old.conn.SetDeadline(time.Now().Add(20 * time.Second)))
			_, err := old.conn.Write([]byte("still there?"))
			h.must(err)
			_, err = atPorter.Wait(h.within(5*time.Second), carriesData(old.from, old.to))
			h.must(err)
			if !c.wakes {
				sendDatagrams(h, dialGame(h, client, c.ip), "get up")
			}
			began := h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
			source, _, _ := cutKnock(began.Field("knock"))
			if byIt := source == old.from; byIt != c.wakes {
				t.Errorf("woken by %q, and the connection is %v's", began.Field("knock"), old.from)
			}
			back := make([]byte, len("still there?"))
			for got := 0; got < len(back); {
				size, err := old.conn.Read(back[got:])
				h.must(err)
				got += size
			}
			if string(back) != "still there?" {
				t.Errorf("the connection says %q", back)
			}
			if !c.wakes {
				return
			}
			first, err := atMachine.Wait(h.within(time.Second), carriesData(old.from, old.to))
			h.must(err)
			if first.Src() != porter.MAC() {
				t.Errorf("the first segment came from %v, want what the porter %v held", first.Src(), porter.MAC())
			}
			wantEcho(h, old.conn, 1<<16)
			h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
		})
	}
}
