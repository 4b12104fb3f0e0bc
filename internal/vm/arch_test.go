package vm

import (
	"runtime"
	"slices"
	"testing"
)

// An accelerator is used for this host's architecture. Others are emulated.
func TestProcessor(t *testing.T) {
	t.Setenv("VM_ACCEL", "kvm")
	for _, arch := range []Arch{AMD64, ARM64} {
		accel, cpu := "tcg", architectures[arch].cpu
		if string(arch) == runtime.GOARCH {
			accel, cpu = "kvm", "host"
		}
		if got, want := arch.processor(), []string{"-machine", architectures[arch].machine, "-accel", accel, "-cpu", cpu}; !slices.Equal(got, want) {
			t.Errorf("%s: the arguments are %q, want %q", arch, got, want)
		}
	}
}
