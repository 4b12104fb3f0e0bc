package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
	"nightporter/internal/netns"
)

// userNamespaceMark in the environment marks a process that it was started
// inside a user namespace by EnterUserNamespace.
const userNamespaceMark = "LAB_IN_USER_NAMESPACE"

// EnterUserNamespace lets a process without privileges use the lab. It is to
// be called first thing in main or TestMain.
//
// A process that may make network namespaces goes on at once. Any other runs
// itself again, same arguments and standard streams, in a user namespace where
// it is root, and waits: then reexeced is true and the caller exits with code.
// SIGINT and SIGTERM are passed on. The error states what the kernel forbids
// and what would help.
//
// A worker of `go test -fuzz` goes on as it is: it talks to its parent through
// files that a second process would not inherit, and needs no privileges.
func EnterUserNamespace() (code int, reexeced bool, err error) {
	if slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzzworker") }) {
		return 0, false, nil
	}
	if os.Getenv(userNamespaceMark) != "" {
		// Children of this process are to decide for themselves.
		if err := os.Unsetenv(userNamespaceMark); err != nil {
			return 0, false, fmt.Errorf("clear %s: %w", userNamespaceMark, err)
		}
		// Some kernels give a user namespace and then refuse its privileges.
		return 0, false, tryNamespace()
	}
	capable, err := hasCapabilities()
	if err != nil || capable {
		return 0, false, err
	}
	code, err = runInUserNamespace()
	if err != nil {
		return 0, false, err
	}
	return code, true, nil
}

func tryNamespace() error {
	ns, err := netns.New()
	if err != nil {
		return explain(err)
	}
	return ns.Close()
}

// hasCapabilities reports whether the process has what namespaces, links and
// packet sockets take.
func hasCapabilities() (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // version 3 has two words
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, fmt.Errorf("read the capabilities of this process: %w", err)
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	return data[0].Effective&need == need, nil
}

func runInUserNamespace() (code int, err error) {
	// The parent-death signal is about the starting thread: keep it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	// Not the path of the program, which another user may be unable to reach.
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), userNamespaceMark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 unix.CLONE_NEWUSER,
		UidMappings:                []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings:                []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		GidMappingsEnableSetgroups: false,
		Pdeathsig:                  syscall.SIGKILL,
		// In a group of its own it gets a Ctrl-C once: from here.
		Setpgid: true,
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, explain(fmt.Errorf("start in a user namespace: %w", err))
	}
	go forward(ctx, signals, cmd.Process)
	return exitCode(cmd.Wait())
}

func forward(ctx context.Context, signals <-chan os.Signal, p *os.Process) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			// The only failure is that p has ended, which Wait reports.
			_ = p.Signal(s)
		}
	}
}

// exitCode reads the end of a process as a shell does: 128 and the number of
// the signal that killed it.
func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if err == nil {
		return 0, nil
	}
	if !errors.As(err, &exit) {
		return 0, fmt.Errorf("wait for the process in the user namespace: %w", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// explain adds a remedy to a permission error.
func explain(err error) error {
	refused := errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) ||
		errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS)
	if !refused {
		return err
	}
	return fmt.Errorf("%w: %s", err, remedy(sysctlRoot))
}

// remedy names the kernel parameters below root that forbid namespaces.
func remedy(root string) string {
	var found []string
	for _, s := range []struct{ name, forbids, want string }{
		{"kernel/unprivileged_userns_clone", "0", "1"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1", "0"},
		{"user/max_user_namespaces", "0", "1000"},
		{"user/max_net_namespaces", "0", "1000"},
	} {
		b, err := os.ReadFile(root + "/" + s.name)
		if err == nil && strings.TrimSpace(string(b)) == s.forbids {
			name := strings.ReplaceAll(s.name, "/", ".")
			found = append(found, fmt.Sprintf("%s is %s, `sysctl -w %s=%s` allows it", name, s.forbids, name, s.want))
		}
	}
	if len(found) == 0 {
		return "run as root, in a container with CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW"
	}
	return strings.Join(found, "; ") + "; or run as root"
}

// Available tries whether a LAN can be built here and, if not, returns what is
// missing: privileges, a kernel module, IPv6, or a writable /proc/sys.
func Available() error {
	ns, err := netns.New()
	if err != nil {
		return explain(err)
	}
	err = ns.Netlink(func(c *rtnetlink.Conn) error { return tryParts(c, ns) })
	return errors.Join(err, ns.Close())
}

// tryParts makes one of each in ns, which takes them all with it.
func tryParts(c *rtnetlink.Conn, ns *netns.Namespace) error {
	if _, err := os.Stat(sysctlRoot + "/net/ipv6"); err != nil {
		return fmt.Errorf("the kernel has IPv6 switched off (ipv6.disable=1?): %w", err)
	}
	if err := writeSysctls(switchSettings()); err != nil {
		return fmt.Errorf("%s must be writable, as it is on a host and in a privileged container: %w", sysctlRoot, err)
	}
	if _, err := addBridge(c, "br0", bridgeMAC()); err != nil {
		return needModule("bridge", err)
	}
	cable := cable{near: "near", far: ns, farName: Interface, farMAC: ether.MAC{0x02, 0x77, 0, 0, 0, 1}}
	if err := cable.lay(c); err != nil {
		return needModule("veth", err)
	}
	conn, err := (&Host{name: "trial", ns: ns}).packetConn(unix.ETH_P_ALL, &packet.Config{})
	if err != nil {
		return needModule("af_packet", err)
	}
	return conn.Close()
}

func needModule(name string, err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("%w: the kernel lacks a module, try `modprobe %s`", err, name)
	}
	return explain(err)
}
