package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	overlayFile = "disk.qcow2"
	filesFile   = "files.img"
	consoleFile = "console.log"
	// commandTimeout is the timeout of a command to the emulator.
	commandTimeout = 30 * time.Second
	// agentName is the name of the serial port that the agent in the machine opens, and
	// commandsID the emulator's name of it.
	agentName  = "org.qemu.guest_agent.0"
	commandsID = "commands"
	memory     = "512" // MiB
)

// The file descriptors of the emulator, after the standard ones.
const (
	tapFD = 3 + iota
	monitorFD
	commandsFD
)

// A board is a machine from power-on to power-off: one process of the emulator.
type board struct {
	cmd      *exec.Cmd
	output   bytes.Buffer // output of the emulator; read it after ended
	monitor  *peer
	commands *peer
	reason   string        // why the machine is off; written by the monitor's goroutine
	released chan struct{} // closed when Machine.board is set
	ended    chan struct{} // closed when the machine is off
}

// arguments are the arguments of the emulator.
func (m *Machine) arguments() []string {
	dir, hw := m.cfg.Image.dir, architectures[m.cfg.Image.arch]
	args := append(m.cfg.Image.arch.processor(),
		"-nodefaults", "-no-user-config", "-display", "none", "-m", memory,
		"-kernel", filepath.Join(dir, kernelFile), "-initrd", filepath.Join(dir, initrdFile),
		"-append", "root=/dev/vda rw net.ifnames=0 console="+hw.console+" "+hw.options,
		"-drive", "file="+filepath.Join(m.cfg.Dir, overlayFile)+",if=virtio,format=qcow2,cache=unsafe",
		"-netdev", fmt.Sprintf("tap,id=lan,fd=%d", tapFD),
		"-device", fmt.Sprintf("virtio-net-pci,netdev=lan,mac=%s,romfile=", m.MAC()),
		"-chardev", fmt.Sprintf("socket,id=monitor,fd=%d", monitorFD), "-mon", "chardev=monitor,mode=control",
		"-chardev", fmt.Sprintf("socket,id=commands,fd=%d", commandsFD),
		"-device", "virtio-serial-pci",
		"-device", fmt.Sprintf("virtserialport,id=%s,chardev=commands,name=%s", commandsID, agentName),
		"-chardev", "file,id=console,append=on,path="+filepath.Join(m.cfg.Dir, consoleFile),
		"-serial", "chardev:console",
	)
	if m.cfg.Files != "" {
		args = append(args, "-drive", "file="+filepath.Join(m.cfg.Dir, filesFile)+",if=virtio,format=raw,readonly=on")
	}
	return args
}

// start starts the emulator. Its events wait for release.
func (m *Machine) start() (*board, error) {
	b := &board{released: make(chan struct{}), ended: make(chan struct{})}
	monitor, commands, err := m.launchEmulator(b)
	if err != nil {
		return nil, err
	}
	b.monitor = newPeer(monitor, func(name string, data json.RawMessage) {
		<-b.released
		m.onEvent(b, name, data)
	})
	b.commands = newPeer(commands, func(string, json.RawMessage) {})
	go m.watchOver(b)
	return b, b.negotiate()
}

// launchEmulator starts the process, and returns this side of its connections.
func (m *Machine) launchEmulator(b *board) (monitor, commands net.Conn, err error) {
	monitor, theirMonitor, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	defer theirMonitor.Close() // so that the other side is closed when the process ends
	commands, theirCommands, err := socketPair()
	if err != nil {
		return nil, nil, errors.Join(err, monitor.Close())
	}
	defer theirCommands.Close()

	// The emulator must not slow down other tests. Work of the idle class must not slow it down
	// either: that has weight 3 in the scheduler, nice 19 has 15, nice 10 has 110.
	args := append([]string{"-n", "10", architectures[m.cfg.Image.arch].emulator}, m.arguments()...)
	b.cmd = m.Command(context.Background(), "nice", args...)
	b.cmd.ExtraFiles = []*os.File{m.tap, theirMonitor, theirCommands}
	b.cmd.Stdout, b.cmd.Stderr = &b.output, &b.output
	if err := m.Start(b.cmd); err != nil {
		return nil, nil, errors.Join(err, monitor.Close(), commands.Close())
	}
	return monitor, commands, nil
}

// negotiate makes the monitor accept commands and send events.
func (b *board) negotiate() error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	err := b.monitor.call(ctx, "qmp_capabilities", nil, nil)
	if err != nil {
		b.release()
		b.kill()
		return fmt.Errorf("%w; output of the emulator:\n%s", err, b.output.String())
	}
	return nil
}

func (b *board) release() { close(b.released) }

// kill kills the emulator, and returns when the machine is off.
func (b *board) kill() {
	_ = b.cmd.Process.Kill() // an error means that it has ended
	<-b.ended
}

// onEvent handles an event of the emulator.
func (m *Machine) onEvent(b *board, name string, data json.RawMessage) {
	var detail struct {
		ID     string `json:"id"`
		Open   bool   `json:"open"`
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(data, &detail) // the fields depend on the event
	switch name {
	case "VSERPORT_CHANGE":
		if detail.ID == commandsID && detail.Open {
			m.events.add(CommandsUp, "")
		}
	case "SUSPEND":
		m.become(Asleep, Suspended, "")
	case "WAKEUP":
		m.become(On, Resumed, "")
	case "RESET":
		m.events.add(Restarted, detail.Reason)
	case "SHUTDOWN":
		b.reason = detail.Reason
	}
}

// become sets the power state, and adds an event with the reason. The cable is unplugged in
// states in which the card receives no frames, since a tap would queue them.
func (m *Machine) become(s State, why EventKind, detail string) {
	if s != On {
		if err := m.lan.SetCable(m.Host, false); err != nil && !m.gone() {
			m.events.add(Failed, err.Error())
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = s
	if s == Off {
		m.board = nil
	}
	m.events.add(why, detail)
}

// watchOver waits for the end of the emulator, which is the power-off of the machine.
func (m *Machine) watchOver(b *board) {
	err := b.cmd.Wait()
	<-b.released
	<-b.monitor.ended // its last event has the reason
	b.monitor.close()
	b.commands.close()
	if err != nil && !m.gone() {
		m.events.add(Failed, fmt.Sprintf("the emulator: %v; it said: %s", err, b.output.String()))
	}
	m.become(Off, PoweredOff, b.reason)
	close(b.ended)
}

// socketPair returns both ends of a connection. theirs is for a program.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	near, theirs := os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
	defer near.Close()
	ours, err = net.FileConn(near)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}
