package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// sshd is OpenSSH as a service of a machine.
type sshd struct{ path, dir, key string }

func newSSHD(t *testing.T) sshd {
	t.Helper()
	if b, err := os.ReadFile("/proc/self/uid_map"); err != nil || !bytes.HasSuffix(bytes.TrimSpace(b), []byte(" 4294967295")) {
		cannotRun(t, "sshd works as a user of its own, which this user namespace has not:", err)
	}
	d := sshd{path: installed(t, "sshd"), dir: t.TempDir()}
	d.key = filepath.Join(d.dir, "key")
	if out, err := exec.Command(installed(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", d.key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	return d
}

// command starts sshd after a script. sshd needs a directory in /run, which is mounted for it.
func (d sshd) command(script string, options ...string) *lab.Command {
	for i, o := range options {
		options[i] = "-o " + o
	}
	return &lab.Command{Args: []string{"unshare", "-m", "sh", "-ec", fmt.Sprintf("mount -t tmpfs none /run; mkdir /run/sshd; %s exec %s -D -f /dev/null -h %s -p 22 -o PidFile=none %s",
		script, d.path, d.key, strings.Join(options, " "))}}
}

// TestFieldReadyBySSHD: the check finds the banner of OpenSSH.
func TestFieldReadyBySSHD(t *testing.T) {
	d, keyscan := newSSHD(t), installed(t, "ssh-keyscan")
	s := openReady(t, fieldProbe, false, nas4, service{"22/tcp", "banner:SSH-2.0-OpenSSH"}, d.command(""))
	var out bytes.Buffer
	cmd := s.lan.Client().Command(s.within(40*time.Second), keyscan, "-T", "30", "-t", "ed25519", nas4.String())
	cmd.Stdout = &out
	s.must(s.lan.Client().Start(cmd))
	s.must(cmd.Wait())
	if !strings.Contains(out.String(), "ssh-ed25519") {
		t.Errorf("the server has the keys %q", out.String())
	}
	s.waitState(20*time.Second, 0, "nas", "awake")
}

// TestFieldReadyAfterNoLogin: sshd refuses its clients while the system boots, by pam_nologin
// and after its banner. Only a delay covers that: with it the first attempt of ssh succeeds,
// and by default it does not.
func TestFieldReadyAfterNoLogin(t *testing.T) {
	t.Parallel()
	for ready, want := range map[string]int{"delay:6450ms": 0, "": 255} {
		t.Run(ready, func(t *testing.T) {
			d, ssh := newSSHD(t), installed(t, "ssh")
			const rules = "auth required pam_permit.so\naccount required pam_nologin.so\naccount required pam_permit.so\nsession required pam_permit.so\n"
			if err := os.WriteFile(filepath.Join(d.dir, "pam"), []byte(rules), 0o600); err != nil {
				t.Fatal(err)
			}
			boots := fmt.Sprintf("mount --bind %[1]s/pam /etc/pam.d/sshd; install -m 644 %[1]s/key.pub /run/authorized; echo System is booting up. >/run/nologin; (sleep 5; rm /run/nologin) & ", d.dir)
			s := openReady(t, fieldProbe, false, nas4, service{"22/tcp", ready},
				d.command(boots, "UsePAM=yes", "StrictModes=no", "AuthorizedKeysFile=/run/authorized"))
			var out bytes.Buffer
			// The shell of the user sync ends without input.
			cmd := s.lan.Client().Command(s.within(50*time.Second), ssh, "-T", "-F", "none", "-i", d.key, "-o", "BatchMode=yes",
				"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "sync@"+nas4.String())
			cmd.Stdout, cmd.Stderr = &out, &out
			s.must(s.lan.Client().Start(cmd))
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != want {
				t.Errorf("ssh ended with %v, want %d: %s", err, want, out.String())
			}
			if refused := strings.Contains(out.String(), "System is booting up."); refused != (want != 0) {
				t.Errorf("refused by nologin: %t: %s", refused, out.String())
			}
		})
	}
}
