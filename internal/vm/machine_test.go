package vm_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/vm"
	"nightporter/internal/vm/vmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bootLimit is the timeout of a boot on a busy host.
const bootLimit = 5 * time.Minute

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func wait(t *testing.T, m *vm.Machine, n int, kind vm.EventKind, limit time.Duration) vm.Event {
	t.Helper()
	e, err := m.Wait(within(t, limit), n, kind)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// magic sends a magic packet for m from the client.
func magic(t *testing.T, l *lab.LAN, m *vm.Machine) {
	t.Helper()
	mac := m.MAC()
	conn, err := l.Client().ListenPacket(t.Context(), "udp", ":0")
	must(t, err)
	defer conn.Close()
	packet := strings.Repeat("\xff", 6) + strings.Repeat(string(mac[:]), 16)
	_, err = conn.WriteTo([]byte(packet), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.77.0.255:9")))
	must(t, err)
}

// TestVMImages builds the images that the other tests start from, unless the cache has them.
func TestVMImages(t *testing.T) {
	for _, arch := range []vm.Arch{vm.AMD64, vm.ARM64} {
		vmtest.Need(t, arch)
		_, err := vm.Debian(t.Context(), arch)
		must(t, err)
	}
}

// TestVMMachineSleepsAndWakes: a machine boots by a magic packet, is on the LAN, suspends
// and resumes twice, and keeps its disk over a reboot, a power cut and a shutdown.
func TestVMMachineSleepsAndWakes(t *testing.T) {
	vmtest.Need(t, vm.AMD64)
	t.Parallel()
	lan := labtest.New(t)
	m := vmtest.New(t, lan, "pc", netip.MustParsePrefix("10.77.0.20/24"))
	if _, err := m.Run(t.Context(), "", "true"); err == nil {
		t.Error("a machine that is off runs a program")
	}

	began := time.Now()
	magic(t, lan, m)
	wait(t, m, 0, vm.PoweredOn, 10*time.Second)
	up := wait(t, m, 0, vm.CommandsUp, bootLimit)
	t.Logf("booted in %.1f s", up.Time.Sub(began).Seconds())
	ctx := within(t, 15*time.Minute)
	must(t, m.WriteFile(ctx, "/root/kept", "600", "kept\n"))
	join(t, m)
	_, err := m.Run(ctx, "", "sync")
	must(t, err)
	dial(t, lan, "10.77.0.20:22")

	port, err := lan.CapturePort(ctx, m.Host)
	must(t, err)
	defer port.Close()
	must(t, lan.Client().SendFrame(marked(m)))
	for range 2 {
		n := m.Len()
		must(t, m.Launch(ctx, "systemctl", "suspend"))
		wait(t, m, n, vm.Suspended, time.Minute)
		must(t, lan.Client().SendFrame(marked(m)))
		magic(t, lan, m)
		wait(t, m, n, vm.Resumed, 10*time.Second)
		dial(t, lan, "10.77.0.20:22")
	}
	frames := slices.DeleteFunc(port.Frames(), func(f lab.Frame) bool { return f.EtherType() != experimental })
	if len(frames) != 1 {
		t.Errorf("the machine's card got %d of the frames, want the one from when it was on", len(frames))
	}

	n := m.Len()
	must(t, m.Launch(ctx, "systemctl", "reboot"))
	wait(t, m, n, vm.Restarted, time.Minute)
	wait(t, m, m.Len(), vm.CommandsUp, bootLimit)

	must(t, m.PowerCut(ctx))
	if got := m.State(); got != vm.Off {
		t.Fatalf("without power the machine is %s", got)
	}
	n = m.Len()
	magic(t, lan, m)
	wait(t, m, n, vm.CommandsUp, bootLimit)
	got, err := m.Run(ctx, "", "cat", "/root/kept")
	must(t, err)
	if got != "kept\n" {
		t.Errorf("the file says %q", got)
	}

	n = m.Len()
	must(t, m.Launch(ctx, "systemctl", "poweroff"))
	if e := wait(t, m, n, vm.PoweredOff, time.Minute); e.Detail != "guest-shutdown" {
		t.Errorf("powered off by %q", e.Detail)
	}
}

// TestVMOtherProcessor: a machine with an ARM processor boots by a magic packet, has the
// files of its second disk, and is on the LAN.
func TestVMOtherProcessor(t *testing.T) {
	vmtest.Need(t, vm.ARM64)
	t.Parallel()
	files := t.TempDir()
	must(t, os.WriteFile(filepath.Join(files, "given"), []byte("given\n"), 0o600))
	lan := labtest.New(t)
	m := vmtest.NewWith(t, lan, vm.ARM64, files, "board", netip.MustParsePrefix("10.77.0.20/24"))
	began := time.Now()
	magic(t, lan, m)
	up := wait(t, m, 0, vm.CommandsUp, bootLimit)
	t.Logf("booted in %.1f s", up.Time.Sub(began).Seconds())
	got, err := m.Run(within(t, time.Minute), "", "sh", "-ec", "uname -m; mount LABEL=files /mnt; cat /mnt/given")
	must(t, err)
	if got != "aarch64\ngiven\n" {
		t.Errorf("the machine says %q", got)
	}
	join(t, m)
	dial(t, lan, "10.77.0.20:22")
}

// TestVMPowerOnError: the error has the emulator's output, and the machine is off.
func TestVMPowerOnError(t *testing.T) {
	here := vm.Arch(runtime.GOARCH) // VM_ACCEL is for this host's processor only
	vmtest.Need(t, here)
	m := vmtest.NewWith(t, labtest.New(t), here, "", "pc", netip.MustParsePrefix("10.77.0.20/24"))
	t.Setenv("VM_ACCEL", "steam")
	if err := m.PowerOn(); err == nil || !strings.Contains(err.Error(), "steam") {
		t.Errorf("with an accelerator that does not exist the error is %v", err)
	}
	if got := m.State(); got != vm.Off {
		t.Errorf("the machine is %s", got)
	}
}

// experimental is an EtherType for local experiments (RFC 9542 appendix B.2).
const experimental = 0x88b5

// marked is a frame for m that no other program sends.
func marked(m *vm.Machine) []byte {
	mac := m.MAC()
	header := binary.BigEndian.AppendUint16(append(mac[:], 0x02, 0x77, 0, 0, 0, 0x0a), experimental)
	return append(header, make([]byte, 46)...) // the shortest Ethernet payload
}

// join sets the address of a machine that has booted, and waits for its sshd, which listens
// only after the machine accepts commands.
func join(t *testing.T, m *vm.Machine) {
	t.Helper()
	_, err := m.Run(within(t, time.Minute), "", "sh", "-ec",
		"ip link set eth0 up; ip addr add 10.77.0.20/24 dev eth0; systemctl start ssh")
	must(t, err)
}

// dial opens a connection from the client and expects an SSH server.
func dial(t *testing.T, l *lab.LAN, addr string) {
	t.Helper()
	conn, err := l.Client().Dial(within(t, 30*time.Second), "tcp", addr)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	b := make([]byte, 4)
	_, err = conn.Read(b)
	must(t, err)
	if string(b) != "SSH-" {
		t.Errorf("%s says %q", addr, b)
	}
}
