package vm

import (
	"fmt"
	"os"
	"os/exec"
)

const emulator = "qemu-system-x86_64"

// Available returns nil where machines of this package can run, besides the lab, and
// else an error that says what is missing.
func Available() error {
	if os.Getuid() != 0 {
		return fmt.Errorf("virtual machines: run by user %d: expected root, who builds their image and opens taps", os.Getuid())
	}
	for _, need := range []struct{ program, pkg string }{
		{"mmdebstrap", "mmdebstrap"}, {"mke2fs", "e2fsprogs"}, {"qemu-img", "qemu-utils"}, {emulator, "qemu-system-x86"},
	} {
		if _, err := exec.LookPath(need.program); err != nil {
			return fmt.Errorf("virtual machines: no %s in PATH: expected Debian's package %s", need.program, need.pkg)
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("virtual machines: %w: expected the kernel's module tun", err)
	}
	return nil
}
