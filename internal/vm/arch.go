package vm

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// An Arch is what processor a machine has, by Debian's name for it.
type Arch string

// The processors that machines can have, and the one that there is for programs alone.
const (
	AMD64 Arch = "amd64" // a PC, which can suspend
	ARM64 Arch = "arm64" // a board such as the Raspberry Pi 4, which cannot
	ARMHF Arch = "armhf" // 32 bits: no machine has it
)

// hardware is what differs between them.
type hardware struct {
	emulator string
	pkg      string // of Debian's, that has the emulator
	machine  string
	cpu      string // that is emulated
	options  string // of the kernel
	console  string
	// packages are those that the image has on top of what all have, and downloads lie in
	// the cache of its apt.
	packages, downloads []string
}

// architectures are all kinds. PC is a machine that can suspend more than once, which Q35
// is not (QEMU 7.2).
var architectures = map[Arch]hardware{
	AMD64: {
		emulator: "qemu-system-x86_64", pkg: "qemu-system-x86",
		machine: "pc", cpu: "qemu64", options: "mitigations=off mem_sleep_default=deep", console: "ttyS0",
		packages: []string{"linux-image-cloud-amd64", "network-manager"},
	},
	ARM64: {
		emulator: "qemu-system-aarch64", pkg: "qemu-system-arm",
		machine: "virt", cpu: "cortex-a72", options: "mitigations=off", console: "ttyAMA0",
		packages: []string{"linux-image-cloud-arm64"}, downloads: []string{"prometheus"},
	},
}

// processor returns the arguments of the emulator that say what runs a machine: VM_ACCEL
// where this host has the same processor, else software.
func (a Arch) processor() []string {
	hw, accel := architectures[a], os.Getenv("VM_ACCEL")
	if accel == "" || accel == "tcg" || string(a) != runtime.GOARCH {
		return []string{"-machine", hw.machine, "-accel", "tcg", "-cpu", hw.cpu}
	}
	return []string{"-machine", hw.machine, "-accel", accel, "-cpu", "host"}
}

// RunsHere returns nil if this host's kernel runs programs for a processor, by an emulator
// if need be. Those of Debian's packages run while an image is built.
func RunsHere(a Arch) error {
	if string(a) == runtime.GOARCH {
		return nil
	}
	if err := exec.Command("arch-test", string(a)).Run(); err != nil {
		return fmt.Errorf("no program for %s runs here: arch-test: %w: expected Debian's packages qemu-user-static, binfmt-support and arch-test, and binfmt_misc mounted", a, err)
	}
	return nil
}
