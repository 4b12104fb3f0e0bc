package vm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Available returns nil if machines of an architecture can run on this host, provided that
// the lab can. Otherwise the error says what is missing.
func Available(arch Arch) error {
	hw := architectures[arch]
	if os.Getuid() != 0 || inOwnNamespace() {
		return errors.New("virtual machines: run by an ordinary user: expected root, who builds their image and opens taps")
	}
	for _, need := range []struct{ program, pkg string }{
		{"mmdebstrap", "mmdebstrap"}, {"mke2fs", "e2fsprogs"}, {"qemu-img", "qemu-utils"}, {hw.emulator, hw.pkg},
	} {
		if _, err := exec.LookPath(need.program); err != nil {
			return fmt.Errorf("virtual machines: no %s in PATH: expected Debian's package %s", need.program, need.pkg)
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("virtual machines: %w: expected the kernel's module tun", err)
	}
	if err := RunsHere(arch); err != nil {
		return fmt.Errorf("virtual machines: %w", err)
	}
	return nil
}

// inOwnNamespace reports whether this process is root in a user namespace with no other
// user, like the tests of an unprivileged user (lab.EnterUserNamespace).
func inOwnNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map") // first ID inside, first ID outside, count
	fields := strings.Fields(string(b))
	return err == nil && len(fields) == 3 && fields[2] == "1"
}
