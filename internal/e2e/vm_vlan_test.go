package e2e

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter/internal/lab/labtest"
	"nightporter/internal/vm"
	"nightporter/internal/vm/vmtest"
)

// withVLANs are the tests that need a kernel with VLANs (IEEE 802.1Q), with the name of the
// variant.
var withVLANs = []string{"^TestTwoNetworks$/^VLAN$", "^TestFieldRouter$/^VLAN$"}

// TestVMVLAN: Debian's kernel has VLANs, which the kernel of this host may lack. The tests of
// VLAN interfaces run there, each in a LAN inside the machine.
func TestVMVLAN(t *testing.T) {
	vmtest.Need(t, vm.AMD64)
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	t.Cleanup(cancel)
	files := t.TempDir()
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", filepath.Join(files, "nightporter.test"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := vmtest.NewWith(t, labtest.New(t), vm.AMD64, files, "pc", netip.MustParsePrefix("10.77.0.20/24"))
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Wait(ctx, 0, vm.CommandsUp); err != nil {
		t.Fatal(err)
	}
	for _, name := range withVLANs {
		out, err := m.Run(ctx, "", "sh", "-ec", `mkdir -p /mnt/files
mountpoint --quiet /mnt/files || mount -o ro LABEL=files /mnt/files
cd /tmp
CI=true HOME=/root /mnt/files/nightporter.test -test.v -test.count 1 -test.parallel 1 -test.timeout 10m -test.run "$0" 2>&1 || echo failed`, name)
		if err != nil || !strings.Contains(out, "\nPASS\n") || strings.Contains(out, "--- SKIP") || !strings.Contains(out, "    --- PASS: ") {
			t.Errorf("%s in the machine: %v\n%s", name, err, out)
		}
		t.Log(out)
	}
}
