package lab_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
)

// experimental is an EtherType for local experiments (RFC 9542 appendix B.2).
const experimental = 0x88b5

func addTap(t *testing.T, l *lab.LAN) (*lab.Host, *os.File) {
	t.Helper()
	h, file, err := l.AddTap("card", netip.MustParsePrefix("10.77.0.20/24"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		skip(t, "no tap can be made here: "+err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := file.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return h, file
}

// nextOf reads from a tap until a frame with that destination comes, and returns its
// payload without padding.
func nextOf(t *testing.T, file *os.File, dst ether.MAC) string {
	t.Helper()
	buf := make([]byte, 2048)
	for {
		n, err := file.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if f := (lab.Frame{Data: buf[:n]}); f.Dst() == dst {
			return string(bytes.TrimRight(f.Payload(), "\x00"))
		}
	}
}

// TestTapIsACableWithACard: frames go both ways, and none while the cable is out, not
// even later.
func TestTapIsACableWithACard(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	h, file := addTap(t, l)
	sendFrame(t, l.Client(), ethernetFrame(h.MAC(), experimental, []byte("first")))
	if got := nextOf(t, file, h.MAC()); got != "first" {
		t.Errorf("the card got %q, want %q", got, "first")
	}

	atClient, err := l.Client().Capture(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer atClient.Close()
	if _, err := file.Write(ethernetFrame(l.Client().MAC(), experimental, []byte("answer"))); err != nil {
		t.Fatal(err)
	}
	_, err = atClient.Wait(testContext(t), func(f lab.Frame) bool {
		return f.EtherType() == experimental && bytes.HasPrefix(f.Payload(), []byte("answer"))
	})
	if err != nil {
		t.Error(err)
	}

	for _, step := range []struct {
		plugged bool
		said    string
	}{{false, "lost"}, {true, "heard"}} {
		if err := l.SetCable(h, step.plugged); err != nil {
			t.Fatal(err)
		}
		sendFrame(t, l.Client(), ethernetFrame(h.MAC(), experimental, []byte(step.said)))
	}
	if got := nextOf(t, file, h.MAC()); got != "heard" {
		t.Errorf("plugged in again, the card got %q, want %q", got, "heard")
	}
}

// TestSwitchHearsMagicPacketsForAPortThatIsDown: as the card of a machine that has no
// power does.
func TestSwitchHearsMagicPacketsForAPortThatIsDown(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	h, _ := addTap(t, l)
	heard := make(chan lab.Transport, 10)
	if err := l.WatchMagic(testContext(t), h.MAC(), func(by lab.Transport) { heard <- by }); err != nil {
		t.Fatal(err)
	}
	if err := l.SetCable(h, false); err != nil {
		t.Fatal(err)
	}
	other := ether.MAC{0x02, 0x77, 0, 0, 0, 0x99}
	sendFrame(t, l.Porter(), magicFrame(ether.Broadcast, other)) // for another machine
	sendFrame(t, l.Porter(), magicFrame(h.MAC(), h.MAC()))
	sendUDP(t, l.Porter(), "10.77.0.255:9", magicBytes(h.MAC()))
	for _, want := range []lab.Transport{lab.OverEthernet, lab.OverUDP} {
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("heard a magic packet over %s, want %s", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("no magic packet over %s was heard", want)
		}
	}
}
