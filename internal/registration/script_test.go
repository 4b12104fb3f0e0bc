package registration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nightporter/internal/registration"
)

// lacking skips a test that needs something that is missing. In CI nothing may be missing.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("not tested, and CI must test it: %s", what)
	}
	t.Skipf("not tested: %s", what)
}

// few returns the first cases of a test that starts Python for each of them, and all of them
// without -short.
func few[T any](cases []T) []T {
	if testing.Short() {
		return cases[:min(2, len(cases))]
	}
	return cases
}

// script is the registration script for the sleeping machine.
type script struct {
	t    *testing.T
	path string
	bin  string // a directory for commands that it shall find
}

func newScript(t *testing.T) *script {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		lacking(t, "no python3 in PATH")
	}
	path, err := filepath.Abs("../../deploy/machine/nightporter-register.py")
	if err != nil {
		t.Fatal(err)
	}
	return &script{t, path, t.TempDir()}
}

// command puts a command of the given name in front of the real ones.
func (s *script) command(name, output string) {
	s.t.Helper()
	text := "#!/bin/sh\ncat <<'END'\n" + output + "\nEND\n"
	if err := os.WriteFile(filepath.Join(s.bin, name), []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// run returns the exit code and what the script printed.
func (s *script) run(args ...string) (int, string, string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "python3", append([]string{s.path}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+s.bin+":"+os.Getenv("PATH"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func (s *script) config(text string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "register.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func TestScriptRegisters(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	got := make(chan registration.Request, 1)
	d := newTestServer(t, "127.0.0.1:0", config(), func(_ context.Context, r registration.Request, _ registration.Peer) error {
		got <- r
		return nil
	})
	conf := s.config("[register]\nto = 192.0.2.1\nname = tower\nmac = d8:cb:8a:39:be:a1\ntoken = 100%s3cret\n" +
		"wake_mac = d8:cb:8a:39:be:a2\nidle_watts = 40\nsleep_watts = 1.5\npassword = 1.2.3.4\nwake_from = 10.0.0.0/8, fd00::/8\n" +
		"monitor =\n  192.168.1.5=22/tcp,53\n  fd00::5=\n")
	code, out, errs := s.run("--config", conf, "--to", d.addr, "--watch")
	if code != 0 || out != "OK.\n" || !strings.HasPrefix(errs, "fd00::5 has no ports: ") {
		t.Fatalf("exit code %d, %q, %q", code, out, errs)
	}
	want, err := registration.Decode([]byte(`{"mac":"d8:cb:8a:39:be:a1","name":"tower","wake_mac":"d8:cb:8a:39:be:a2","token":"100%s3cret","idle_watts":40,
		"sleep_watts":1.5,"password":"1.2.3.4","wake_from":["10.0.0.0/8","fd00::/8"],"watch":true,
		"monitor":[{"ip":"192.168.1.5","port":["22/tcp",53]},{"ip":"fd00::5","port":[]}]}`), defaults)
	if err != nil {
		t.Fatal(err)
	}
	r := <-got
	opts := []cmp.Option{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}
	if diff := cmp.Diff(want, r, opts...); diff != "" {
		t.Error(diff)
	}
}

func TestScriptAnswers(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	calls := atomic.Int32{}
	d := newTestServer(t, "127.0.0.1:0", config(), func(_ context.Context, r registration.Request, _ registration.Peer) error {
		switch {
		case r.Name == "stranger":
			return errors.New("not you")
		case r.Name == "later" && calls.Add(1) < 3:
			return registration.Refuse(registration.Limited, "not now, try again")
		}
		return nil
	})
	common := []string{"--to", d.addr, "--mac", "d8:cb:8a:39:be:a1", "--monitor", "192.168.1.5=22"}
	for _, tt := range few([]struct {
		name, args string
		code       int
		out, errs  string
	}{
		{"refused", "--name stranger", 1, "", "nightporter-register: the porter refused: not you\n"},
		{"invalid", "--idle-watts -1", 1, "", "nightporter-register: the porter refused: idle_watts: found -1.0: expected a number of watts from 0 to 100000\n"},
		{"busy", "--name later --retries 1", 1, "", d.addr + ": not now, try again: trying again\nnightporter-register: " + d.addr + ": not now, try again\n"},
		{"no longer busy", "--name later --retries 1", 0, "OK.\n", ""},
		{"no porter there", "--to 127.0.0.1:1 --retries 0", 1, "", "nightporter-register: 127.0.0.1:1: [Errno 111] Connection refused\n"},
		{"not a port", "--to 127.0.0.1:x", 1, "", "nightporter-register: to: found '127.0.0.1:x': expected HOST or HOST:PORT\n"},
		{"no such file", "--config /nonexistent", 1, "", "nightporter-register: /nonexistent: [Errno 2] No such file or directory: '/nonexistent'\n"},
	}) {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := s.run(append(common, strings.Fields(tt.args)...)...)
			if code != tt.code || out != tt.out || errs != tt.errs {
				t.Errorf("exit code %d, %q, %q\nwant      %d, %q, %q", code, out, errs, tt.code, tt.out, tt.errs)
			}
		})
	}
}

func TestScriptConfigErrors(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	wants := map[string]string{
		"":                                      "to: missing: expected the porter's HOST or HOST:PORT",
		"[register]\nto = a\nprot = 22\n":       "prot: unknown key: did you mean port?",
		"[register]\nto = a\ntimeout = soon\n":  "timeout: found 'soon': expected a number",
		"[register]\nto = a\nmac =\n":           "nothing would wake this machine: expected port (such as 22/tcp) or monitor",
		"[register]\nto = 127.0.0.1\nport = 22": "to: 127.0.0.1 is this host itself: give the porter, and run this on the machine that sleeps",
		"to = a\n":                              "File contains no section headers.",
		"[register]\nto = a\nto = b\nport = 22": "option 'to' in section 'register' already exists",
	}
	for _, text := range few(slices.Sorted(maps.Keys(wants))) {
		want := wants[text]
		code, out, errs := s.run("--config", s.config(text))
		if code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d, %q, %q: want %s", text, code, out, errs, want)
		}
	}
}

func TestScriptExampleConfig(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	d := newTestServer(t, "127.0.0.1:0", config(), wouldAccept)
	code, out, errs := s.run("--config", "../../deploy/machine/register.conf.example", "--to", d.addr,
		"--mac", "d8:cb:8a:39:be:a1", "--monitor", "10.0.0.5=22", "--token", "s3cret", "--check")
	if code != 0 || strings.Contains(out, "s3cret") || !strings.Contains(out, `"token": "********"`) {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// wouldAccept is a handler that is asked by trials only.
func wouldAccept(_ context.Context, r registration.Request, _ registration.Peer) error {
	if !r.Trial {
		return errors.New("not a trial")
	}
	return &registration.Acceptable{Name: r.Name}
}

// --check prints what would be sent, and what the porter says to it.
func TestScriptChecks(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	would := newTestServer(t, "127.0.0.1:0", config(), wouldAccept)
	refuses := newTestServer(t, "127.0.0.1:0", config(), func(context.Context, registration.Request, registration.Peer) error { return errors.New("not you") })
	older := newTestServer(t, "127.0.0.1:0", config(), accept)
	for _, tt := range few([]struct {
		name, to, monitor string
		code              int
		out, errs         string
	}{
		{"accepted", would.addr, "192.168.1.5=22", 0, `the porter would accept it as "tower"`, ""},
		{"without ports", would.addr, "192.168.1.5=", 0, `the porter would accept it as "tower"`, "192.168.1.5 has no ports: it is claimed while the machine sleeps, but nothing there wakes it\n"},
		{"refused", refuses.addr, "192.168.1.5=22", 1, "", "nightporter-register: the porter refused: not you\n"},
		{"an older porter", older.addr, "192.168.1.5=22", 1, "", "nightporter-register: the porter is older than this script: it has registered the machine, and takes it for awake again later\n"},
		{"no porter", "127.0.0.1:1", "192.168.1.5=22", 1, "", "nightporter-register: 127.0.0.1:1: [Errno 111] Connection refused\n"},
	}) {
		code, out, errs := s.run("--to", tt.to, "--mac", "d8:cb:8a:39:be:a1", "--name", "tower", "--monitor", tt.monitor, "--check")
		if code != tt.code || !strings.HasPrefix(out, "{\n") || !strings.HasSuffix(strings.TrimSpace(out), orElse(tt.out, "}")) || errs != tt.errs {
			t.Errorf("%s: exit code %d, %q, %q", tt.name, code, out, errs)
		}
	}
}

func TestScriptAtShutdown(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	d := newTestServer(t, "127.0.0.1:0", config(), accept)
	args := []string{"--to", d.addr, "--mac", "d8:cb:8a:39:be:a1", "--monitor", "192.168.1.5=22", "--at-shutdown"}
	const idle = "the machine does not power off: nothing to register\n"
	for _, tt := range few([]struct{ name, jobs, want string }{
		{"power-off", "1 shutdown.target start waiting\n2 poweroff.target start waiting", "OK.\n"},
		{"reboot", "1 shutdown.target start waiting\n2 reboot.target start waiting", idle},
		{"halt", "2 halt.target start waiting", "OK.\n"},
		{"stopped by hand", "7 nightporter-register.service stop running", idle},
	}) {
		t.Run(tt.name, func(t *testing.T) {
			s.command("systemctl", tt.jobs)
			code, out, errs := s.run(args...)
			if code != 0 || out != tt.want || errs != "" {
				t.Errorf("exit code %d, %q, %q", code, out, errs)
			}
		})
	}
	if testing.Short() {
		return
	}
	t.Run("reboot without a porter", func(t *testing.T) {
		s.command("systemctl", "2 reboot.target start waiting")
		// Not even its own address is looked up, which would fail here.
		code, out, errs := s.run("--to", "nowhere.invalid", "--port", "22/tcp", "--at-shutdown")
		if code != 0 || out != idle || errs != "" {
			t.Errorf("exit code %d, %q, %q", code, out, errs)
		}
	})
	t.Run("another machine keeps its name", func(t *testing.T) {
		_, out, _ := s.run(append(args, "--check")...)
		if strings.Contains(out, `"name"`) {
			t.Errorf("sends this host's name for another: %s", out)
		}
	})
	t.Run("no systemd", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(s.bin, "systemctl"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		code, out, errs := s.run(args...)
		if code != 0 || out != "OK.\n" || !strings.Contains(errs, "cannot ask systemd") {
			t.Errorf("exit code %d, %q, %q", code, out, errs)
		}
	})
}

// namespace moves the test into a network namespace of its own, with one
// Ethernet interface that has lasting and passing addresses.
func namespace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		lacking(t, "no ip(8) in PATH")
	}
	// The thread is never unlocked, so that it ends with the test's goroutine
	// and takes the namespace with it.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		lacking(t, "a network namespace of its own needs root: "+err.Error())
	}
	for _, args := range []string{
		"link add porter type veth peer name tower",
		"link set tower address d8:cb:8a:39:be:a1",
		"link set porter up", "link set tower up", "link set lo up",
		"addr add 192.0.2.5/24 dev tower",
		"addr add 192.0.2.6/24 dev tower",
		"addr add 2001:db8::5/64 dev tower nodad",
		"addr add 2001:db8::6/64 dev tower nodad preferred_lft 0",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
}

// lateAddress adds one that the kernel tests for duplicates, as each network manager
// does at boot: it can be used after one to two seconds (RFC 4862 section 5.4).
func lateAddress(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("ip", "addr", "add", "2001:db8::7/64", "dev", "tower").CombinedOutput(); err != nil {
		t.Fatalf("add an address: %v: %s", err, out)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	namespace(t)
	lateAddress(t)
	want := []string{"192.0.2.5", "192.0.2.6", "2001:db8::5", "2001:db8::7"}
	for _, porter := range []string{"192.0.2.1:13717", "[2001:db8::1]:13717"} {
		id, err := registration.Detect(t.Context(), porter)
		if err != nil {
			t.Errorf("%s: %v", porter, err)
			continue
		}
		var got []string
		for _, ip := range id.Addrs {
			got = append(got, ip.String())
		}
		slices.Sort(got) // the kernel lists the last first
		if diff := cmp.Diff(want, got); diff != "" || id.MAC != towerMAC || id.Interface != "tower" {
			t.Errorf("%s: %v on %s, %s", porter, id.MAC, id.Interface, diff)
		}
	}
	if _, err := registration.Detect(t.Context(), "198.51.100.1:13717"); err == nil {
		t.Error("detected the way to where there is no route")
	}
}

func TestScriptDetects(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	namespace(t)
	lateAddress(t)
	var got registration.Wire
	code, out, errs := s.run("--to", "[2001:db8::1]:13717", "--name", "tower", "--port", "22/tcp,icmp", "--check", "--timeout", "4")
	if code != 1 || !strings.Contains(errs, "[2001:db8::1]:13717") { // no porter is there
		t.Fatalf("exit code %d, %s", code, errs)
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	ports := registration.ParsePorts("22/tcp,icmp")
	want := registration.Wire{MAC: "d8:cb:8a:39:be:a1", Name: "tower", Monitor: []registration.WireAddress{
		{IP: "192.0.2.5", Port: ports}, {IP: "192.0.2.6", Port: ports}, {IP: "2001:db8::5", Port: ports}, {IP: "2001:db8::7", Port: ports}}}
	slices.SortFunc(got.Monitor, func(a, b registration.WireAddress) int { return strings.Compare(a.IP, b.IP) }) // as the kernel lists them
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// bondedIP is an ip(8) on a host whose way to the porter is a bond of two cards, of
// which the second is active.
const bondedIP = `#!/bin/sh
case "$*" in
*"route get"*) echo '[{"dev":"bond0"}]' ;;
*"addr show dev bond0") echo '[{"ifname":"bond0","link_type":"ether","address":"d8:cb:8a:39:be:a1",
	"linkinfo":{"info_kind":"bond","info_data":{"mode":"active-backup","active_slave":"eth1"}},"addr_info":[{"local":"192.0.2.5","scope":"global"}]}]' ;;
*"link show dev eth1") echo '[{"ifname":"eth1","address":"d8:cb:8a:39:be:a1","permaddr":"d8:cb:8a:39:be:a2"}]' ;;
*) exit 1 ;;
esac
`

// The active card of a bond is registered, unless it has the address of the bond,
// or another machine registers.
func TestScriptFindsTheCard(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	for _, tt := range few([]struct{ said, mac, want string }{
		{bondedIP, "", "d8:cb:8a:39:be:a2"},
		{bondedIP, "02:00:00:00:00:01", ""},
		{strings.Replace(bondedIP, "be:a2", "be:a1", 1), "", ""},
		{strings.Replace(bondedIP, `,"permaddr":"d8:cb:8a:39:be:a2"`, "", 1), "", ""},
		{strings.Replace(bondedIP, `"linkinfo"`, `"permaddr":"d8:cb:8a:39:be:a3","other"`, 1), "", "d8:cb:8a:39:be:a3"}, // no bond
	}) {
		if err := os.WriteFile(filepath.Join(s.bin, "ip"), []byte(tt.said), 0o755); err != nil {
			t.Fatal(err)
		}
		var got registration.Wire
		code, out, errs := s.run("--to", "127.0.0.1:1", "--mac", tt.mac, "--port", "22/tcp", "--retries", "0", "--check")
		if err := json.Unmarshal([]byte(out), &got); code != 1 || err != nil {
			t.Fatalf("exit code %d, %s, %v", code, errs, err)
		}
		if got.WakeMAC != tt.want {
			t.Errorf("wake_mac %q, want %q: %s", got.WakeMAC, tt.want, out)
		}
	}
}
