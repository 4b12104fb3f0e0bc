package main

import (
	"testing"
	"time"
)

// withoutNetfilter runs a program as on a kernel without netfilter's netlink: a filter of
// system calls (seccomp(2)) makes its socket(2) fail with EPROTONOSUPPORT. The numbers are
// those of amd64: socket is 41, AF_NETLINK 16, NETLINK_NETFILTER 12.
const withoutNetfilter = `#!/usr/bin/perl
my @filter = (
	[0x20, 0, 0, 0], [0x15, 0, 5, 41],  # nr
	[0x20, 0, 0, 16], [0x15, 0, 3, 16], # args[0]
	[0x20, 0, 0, 32], [0x15, 0, 1, 12], # args[2]
	[0x06, 0, 0, 0x00050000 | 93],      # SECCOMP_RET_ERRNO
	[0x06, 0, 0, 0x7fff0000],           # SECCOMP_RET_ALLOW
);
my $filter = join "", map pack("SCCL", @$_), @filter;
my $program = pack("SxxxxxxP", scalar @filter, $filter);
syscall(157, 38, 1, 0, 0, 0) and die "prctl(PR_SET_NO_NEW_PRIVS): $!";
syscall(157, 22, 2, $program) and die "prctl(PR_SET_SECCOMP): $!";
exec @ARGV or die $!;
`

const withoutNetfilterUnit = `[Service]
ExecStart=
ExecStart=/usr/local/bin/without-netfilter /usr/bin/nightporter serve
`

// Without nf_tables the package installs, and the log has the remedy. The porter runs unless
// the configuration requires the guard.
func TestInstallWithoutNFTables(t *testing.T) {
	t.Parallel()
	h := boot(t, true)
	h.write("/usr/local/bin/without-netfilter", withoutNetfilter)
	h.must("chmod", "+x", "/usr/local/bin/without-netfilter")
	h.must("mkdir", "-p", "/etc/systemd/system/"+unitName+".d")
	h.write("/etc/systemd/system/"+unitName+".d/kernel.conf", withoutNetfilterUnit)
	h.must("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward") // with forwarding the guard is needed
	expect(t, "the installation", h.install(h.copy(built(t, older, ".deb"))), "nightporter runs. Its page: ")
	h.running(older)
	const remedy = "protocol not supported: the kernel needs nf_tables"
	expect(t, "the log", h.must("journalctl", "--no-pager", "--unit", unitName), "event=guard_missing", remedy, "modprobe nf_tables")

	h.write(configuration, "claim: {guard: on}\n")
	if out, err := h.try("systemctl", "restart", unitName); err == nil {
		t.Errorf("it starts: %s", out)
	}
	h.within(10*time.Second, "the remedy in the status", "sh", "-c", "systemctl status --no-pager --full "+unitName+" | grep 'Status: .*"+remedy+"'")
	check, err := h.try("/usr/local/bin/without-netfilter", "/usr/bin/nightporter", "check", "--host")
	if err == nil {
		t.Error("the host passes")
	}
	expect(t, "the check", check, remedy)
}
