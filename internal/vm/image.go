package vm

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// An Image is a Debian system that machines start from. Machines do not change it.
type Image struct {
	arch Arch
	dir  string // the folder of the files
}

// The files of an image.
const (
	kernelFile = "vmlinuz"
	initrdFile = "initrd.img"
	diskFile   = "root.qcow2"
)

// prefix is the prefix of the names of images in the cache. The recipe's hash follows.
func (a Arch) prefix() string { return "debian12-" + string(a) + "-" }

// packages are the packages of a machine beside a minimal Debian with apt: a service to
// connect to, the agent that runs commands, and commands of users.
func (a Arch) packages() []string {
	return append([]string{
		"systemd", "systemd-sysv", "udev", "dbus", "kmod", "iproute2", "python3", "openssh-server",
		"sudo", "curl", "qemu-guest-agent", "initramfs-tools", "zstd",
	}, architectures[a].packages...)
}

// setupHook runs before packages are installed. The initial RAM disk gets only the modules
// of this hardware, since an emulated processor unpacks it.
const setupHook = `mkdir -p "$1/etc/initramfs-tools/conf.d"
echo MODULES=list >"$1/etc/initramfs-tools/conf.d/modules"
printf 'virtio_pci\nvirtio_blk\n' >"$1/etc/initramfs-tools/modules"`

// finishHook runs last. It leaves the network manager to the tests, and disables Debian's
// timers, which would disturb them.
const finishHook = `set -e
for unit in systemd-networkd NetworkManager NetworkManager-wait-online; do
  ! chroot "$1" systemctl --quiet is-enabled $unit.service 2>/dev/null || chroot "$1" systemctl --quiet disable $unit.service
done
chroot "$1" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
echo 'machine' >"$1/etc/hostname"
echo '127.0.0.1 localhost machine' >"$1/etc/hosts"
mv "$1"/boot/vmlinuz-* "$1/boot/vmlinuz"
mv "$1"/boot/initrd.img-* "$1/boot/initrd.img"`

// machineID is the ID of all machines. Without an ID systemd would treat the first boot as
// an installation (machine-id(5)).
const machineID = "6d616368696e65206f66207468652074\n"

// diskSize is the size of the root file system.
const diskSize = 2 << 30

// mirror returns the URL of the Debian mirror.
func mirror() string { return cmp.Or(os.Getenv("VM_MIRROR"), "http://deb.debian.org/debian") }

// downloadHook makes apt download packages that a test installs in the machine, which
// reaches no mirror. The packages and their lists stay in the cache of apt.
func downloadHook(packages []string) string {
	return `APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --quiet --yes --download-only --no-install-recommends install ` + strings.Join(packages, " ")
}

// bootstrap returns the arguments of mmdebstrap, which creates the file tree in root.
func (a Arch) bootstrap(root string) []string {
	args := []string{
		"--mode=root", "--variant=minbase", "--format=directory",
		"--architectures=" + string(a), "--include=" + strings.Join(a.packages(), ","),
		`--aptopt=Acquire::Languages "none"`, `--aptopt=APT::Install-Recommends "false"`,
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		"--setup-hook=" + setupHook, "--customize-hook=" + finishHook,
	}
	if downloads := architectures[a].downloads; len(downloads) > 0 {
		args = append(args, "--skip=cleanup/apt", "--customize-hook="+downloadHook(downloads))
	}
	return append(args, "bookworm", root, mirror())
}

// source is this file, which is part of the recipe of an image.
//
//go:embed image.go
var source string

// recipe is a hash of everything that an image is built from.
func (a Arch) recipe() string {
	sum := sha256.Sum256(fmt.Append(nil, source, mirror(), a, architectures[a].packages, architectures[a].downloads))
	return fmt.Sprintf("%x", sum[:6])
}

// CacheDir returns the directory of images: VM_CACHE, or one in the user's cache.
func CacheDir() (string, error) {
	if dir := os.Getenv("VM_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no directory for images, set VM_CACHE: %w", err)
	}
	return filepath.Join(dir, "nightporter-vm"), nil
}

// Debian returns the image of Debian 12 for an architecture. If the cache has none of the
// current recipe, Debian builds it and removes images of other recipes.
func Debian(ctx context.Context, arch Arch) (Image, error) {
	cache, err := CacheDir()
	if err != nil {
		return Image{}, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Image{}, err
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	image := Image{arch, filepath.Join(cache, arch.prefix()+arch.recipe())}
	if _, err := os.Stat(image.dir); err == nil {
		return image, nil
	}
	if err := removeOlder(cache, arch); err != nil {
		return Image{}, err
	}
	if err := image.build(ctx, filepath.Join(cache, arch.prefix()+"building")); err != nil {
		return Image{}, fmt.Errorf("build %s: %w", image.dir, err)
	}
	return image, nil
}

// lock prevents other processes from building an image at the same time.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return func() { f.Close() }, nil // closing releases the lock
}

// removeOlder removes the images of other recipes, and files of an interrupted build.
func removeOlder(cache string, arch Arch) error {
	old, err := filepath.Glob(filepath.Join(cache, arch.prefix()+"*"))
	for _, dir := range old {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// build builds the image in a temporary directory, and renames it when it is complete.
func (i Image) build(ctx context.Context, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	if err := run(ctx, "mmdebstrap", i.arch.bootstrap(root)...); err != nil {
		return err
	}
	for _, file := range []string{kernelFile, initrdFile} {
		if err := os.Rename(filepath.Join(root, "boot", file), filepath.Join(dir, file)); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(root, "etc/machine-id"), []byte(machineID), 0o444); err != nil {
		return err
	}
	if err := makeDisk(ctx, root, filepath.Join(dir, diskFile)); err != nil {
		return err
	}
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	return os.Rename(dir, i.dir)
}

// filesDisk creates a disk with the files of a directory, which it only reads.
func filesDisk(ctx context.Context, dir, disk string) error {
	const spare = 16 << 20 // for the file system itself
	size := int64(spare)
	err := filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() {
			size += info.Size() * 11 / 10
		}
		return err
	})
	if err != nil {
		return err
	}
	return run(ctx, "mke2fs", "-q", "-t", "ext4", "-L", "files", "-d", dir, disk, fmt.Sprintf("%dk", size>>10))
}

// makeDisk creates a disk with a file system of the files in root. Its format is compact, so
// that a copy without support for sparse files is small too.
func makeDisk(ctx context.Context, root, disk string) error {
	raw := disk + ".raw"
	if err := run(ctx, "mke2fs", "-q", "-t", "ext4", "-d", root, raw, fmt.Sprintf("%dk", diskSize>>10)); err != nil {
		return err
	}
	if err := run(ctx, "qemu-img", "convert", "-O", "qcow2", raw, disk); err != nil {
		return err
	}
	return os.Remove(raw)
}

// overlay creates a disk that starts as the image's, and stores what is written to it.
func (i Image) overlay(ctx context.Context, path string) error {
	return run(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", filepath.Join(i.dir, diskFile), path)
}

// run runs a program of this host, whose mounts end with it. The end of its output is part of the
// error.
func run(ctx context.Context, program string, args ...string) error {
	const outputLimit = 2000 // bytes
	cmd := exec.CommandContext(ctx, "nice", append([]string{"-n", "19", program}, args...)...)
	if os.Geteuid() == 0 { // mmdebstrap mounts /proc and more, and when it is killed they stay mounted
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w; its output:\n%s", program, err, out[max(0, len(out)-outputLimit):])
	}
	return nil
}
