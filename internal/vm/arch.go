package vm

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// An Arch is the processor architecture of a machine, by Debian's name.
type Arch string

// The architectures of machines, and one that only programs have.
const (
	AMD64 Arch = "amd64" // a PC, which can suspend
	ARM64 Arch = "arm64" // a board such as the Raspberry Pi 4, which cannot
	ARMHF Arch = "armhf" // 32 bits: programs only, no machine
)

// hardware is the emulated hardware of an architecture.
type hardware struct {
	emulator string
	pkg      string // Debian's package with the emulator
	machine  string
	cpu      string // the emulated processor
	options  string // of the kernel's command line
	console  string
	// packages are the packages of the image beside the common ones. downloads are packages
	// in its apt cache that are not installed.
	packages, downloads []string
}

// architectures are the hardware by architecture. The machine type is pc since one of type
// Q35 cannot suspend more than once (QEMU 7.2).
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

// processor returns the emulator's arguments for the accelerator: VM_ACCEL if this host has
// the same architecture, otherwise software emulation.
func (a Arch) processor() []string {
	hw, accel := architectures[a], os.Getenv("VM_ACCEL")
	if accel == "" || accel == "tcg" || string(a) != runtime.GOARCH {
		return []string{"-machine", hw.machine, "-accel", "tcg", "-cpu", hw.cpu}
	}
	return []string{"-machine", hw.machine, "-accel", accel, "-cpu", "host"}
}

// RunsHere returns nil if this host's kernel runs programs of an architecture, if necessary
// by an emulator. The scripts of Debian's packages run while an image is built.
func RunsHere(a Arch) error {
	if string(a) == runtime.GOARCH {
		return nil
	}
	if err := exec.Command("arch-test", string(a)).Run(); err != nil {
		return fmt.Errorf("programs for %s do not run on this host: arch-test: %w: expected Debian's packages qemu-user-static, binfmt-support and arch-test, and binfmt_misc mounted", a, err)
	}
	return nil
}
