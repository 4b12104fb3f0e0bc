package vm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tools puts stubs of the programs that build an image in front of PATH, and sets the cache
// to a directory of the test. ran returns how often mmdebstrap ran.
func tools(t *testing.T, mmdebstrap string) (ran func() int) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "ran")
	scripts := map[string]string{
		"mmdebstrap": "echo ran >>" + log + "\n" + mmdebstrap,
		"mke2fs":     `echo disk >"${@: -2:1}"`,
		"qemu-img":   `cp "${@: -2:1}" "${@: -1}"`,
	}
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/bash\nset -e\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("VM_CACHE", filepath.Join(dir, "cache"))
	return func() int {
		b, _ := os.ReadFile(log) // a missing file: it never ran
		return strings.Count(string(b), "ran")
	}
}

const bootstraps = `root=${@: -2:1}; mkdir -p "$root/boot" "$root/etc"; echo kernel >"$root/boot/vmlinuz"; echo initrd >"$root/boot/initrd.img"`

// TestImageIsBuiltOnce for each recipe. A new recipe replaces the image.
func TestImageIsBuiltOnce(t *testing.T) {
	ran := tools(t, bootstraps)
	first, err := Debian(t.Context(), AMD64)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Debian(t.Context(), AMD64); err != nil || again != first || ran() != 1 {
		t.Errorf("the second time it is %v, %v, after %d builds; want %v and 1", again, err, ran(), first)
	}
	files, err := filepath.Glob(filepath.Join(first.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	if want := []string{initrdFile, diskFile, kernelFile}; !slices.Equal(files, want) {
		t.Errorf("the image has %v, want %v", files, want)
	}

	t.Setenv("VM_MIRROR", "http://mirror.example/debian")
	other, err := Debian(t.Context(), AMD64)
	if err != nil || other == first || ran() != 2 {
		t.Errorf("from another mirror it is %v, %v, after %d builds", other, err, ran())
	}
	if _, err := os.Stat(first.dir); !os.IsNotExist(err) {
		t.Errorf("the unused image still exists (%v)", err)
	}
}

// TestImagesOfTwoKinds: the image of one architecture does not replace that of another.
func TestImagesOfTwoKinds(t *testing.T) {
	ran := tools(t, bootstraps)
	for _, arch := range []Arch{AMD64, ARM64, AMD64, ARM64} {
		if _, err := Debian(t.Context(), arch); err != nil {
			t.Fatal(err)
		}
	}
	if ran() != 2 {
		t.Errorf("two images took %d builds", ran())
	}
}

// TestFailedBuild: the error has the end of the program's output, and the next build starts
// from the beginning.
func TestFailedBuild(t *testing.T) {
	ran := tools(t, `[ "$(wc -l <"${0%/*}/ran")" -gt 1 ] || { echo "no such mirror"; exit 25; }`+"\n"+bootstraps)
	if image, err := Debian(t.Context(), AMD64); err == nil || !strings.Contains(err.Error(), "no such mirror") {
		t.Errorf("it is %v, %v", image, err)
	}
	if _, err := Debian(t.Context(), AMD64); err != nil || ran() != 2 {
		t.Errorf("the second build ends with %v, after %d", err, ran())
	}
}

// TestKilledBuild: what a build had mounted when it was killed is no longer mounted, so that the
// next one can remove its files.
func TestKilledBuild(t *testing.T) {
	switch {
	case os.Getuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatal("needs root, to mount")
	default:
		t.Skip("needs root, to mount")
	}
	ran := tools(t, `[ "$(wc -l <"${0%/*}/ran")" -gt 1 ] || { proc=${@: -2:1}/proc; mkdir -p "$proc"; mount -t proc -o ro proc "$proc"; kill -9 $$; }`+"\n"+bootstraps)
	if image, err := Debian(t.Context(), AMD64); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it is %v, %v", image, err)
	}
	if _, err := Debian(t.Context(), AMD64); err != nil || ran() != 2 {
		t.Errorf("the second build ends with %v, after %d", err, ran())
	}
}

// TestAvailableSaysWhatIsMissing: the error names Debian's package.
func TestAvailableSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	want := "Debian's package mmdebstrap"
	if os.Getuid() != 0 {
		want = "expected root"
	}
	if err := Available(AMD64); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("without any program the error is %v, want one with %q", err, want)
	}
}
