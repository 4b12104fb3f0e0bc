package e2e

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// service is an entry of a port list with its own settings.
type service struct {
	Port  string `json:"port"`
	Ready string `json:"ready,omitempty"`
}

// registerAndSleep registers services of nas at ip, unless the configuration has them, and lets
// it sleep until it is claimed.
func (s *machineTest) registerAndSleep(ip netip.Addr, ports ...any) {
	s.Helper()
	n := s.daemon.Log.Len()
	if !s.agentless {
		s.register(s.nas.Host, registration("nas", s.nas.MAC(), monitored{ip, ports}))
	}
	s.waitAsleep(n)
}

// readyConf returns a configuration of nas with such services.
func readyConf(nas *lab.Machine, ip netip.Addr, ports ...service) string {
	var list []string
	for _, p := range ports {
		list = append(list, fmt.Sprintf("{port: %q, ready: %q}", p.Port, p.Ready))
	}
	return fmt.Sprintf("watch: {interval: 500ms}\nmachines: [{name: nas, mac: %q, agentless: true, monitor: [{ip: %q, port: [%s]}]}]\n",
		nas.MAC(), ip, strings.Join(list, ", "))
}

// openReady starts a daemon for nas with one service, which is a program.
func openReady(t *testing.T, conf string, agentless bool, ip netip.Addr, own service, command *lab.Command, more ...lab.ServiceConfig) *machineTest {
	t.Helper()
	t.Parallel()
	ctx, network := newLANFor(t, 3*time.Minute)
	bare := &harness{TB: t, ctx: ctx, lan: network}
	at := machineService(ip, own)
	s := &machineTest{conf: conf, agentless: agentless, nas: bare.addNAS(func(c *lab.MachineConfig) {
		c.Announce = true
		c.Services = append([]lab.ServiceConfig{{Addr: ip, Network: "tcp", Port: at.Number, Command: command}}, more...)
	})}
	if agentless {
		s.conf += readyConf(s.nas, ip, own)
	}
	s.harness, s.began = openOn(ctx, t, network, s.conf), time.Now()
	if agentless {
		waitPlaced(s.harness, 0)
	}
	s.registerAndSleep(ip, own)
	return s
}

func machineService(ip netip.Addr, own service) machine.Service {
	ports, err := machine.ParsePort(own.Port)
	if err != nil {
		panic(err) // of our own making
	}
	return machine.Service{Addr: ip, Port: ports[0]}
}

// runCurl requests a page once. With -f it exits with 22 for an error of the server.
func runCurl(h *harness, from *lab.Host, url string) (out string, ended time.Time, err error) {
	h.Helper()
	var b bytes.Buffer
	cmd := from.Command(h.within(40*time.Second), installed(h.TB, "curl"), "-fsSk", "--noproxy", "*", url)
	cmd.Stdout, cmd.Stderr = &b, &b
	h.must(from.Start(cmd))
	err = cmd.Wait()
	return b.String(), time.Now(), err
}

// serviceUpAt returns the last start of a service of nas.
func (s *machineTest) serviceUpAt() time.Time {
	s.Helper()
	return s.waitEvent(s.nas, lab.ServiceUp).Time
}

// wantServedWhenReady expects the page as soon as the server is ready, which is 5 s after it
// listens. That falls between two SYNs of the client.
func (s *machineTest) wantServedWhenReady(from *lab.Host, url string) {
	s.Helper()
	out, ended, err := runCurl(s.harness, from, url)
	if err != nil {
		s.Fatalf("curl ended with %v: %q", err, out)
	}
	ready, err := saidReady(out, "welcome")
	s.must(err)
	if late := ended.Sub(ready); late > slack {
		s.Errorf("served %v after the server was ready", late)
	}
	s.waitState(20*time.Second, 0, "nas", "awake")
}

// TestFieldReadyByHTTP: a server listens at once and answers 503 for 5 s. Its client sends one
// request.
func TestFieldReadyByHTTP(t *testing.T) {
	t.Parallel()
	for _, ready := range []string{"http:/", "http:/start?full=1=200"} {
		for _, way := range knownBy {
			for _, ip := range []netip.Addr{nas4, nas6} {
				t.Run(strings.ReplaceAll(ready, "/", "")+"/"+way.name+"/"+ip.String(), func(t *testing.T) {
					variantUnless(t, (way.name == "registered" && ip == nas4 || way.agentless && ip == nas6) && ready == "http:/" || way.name == "bind" && ip == nas6)
					s := openReady(t, fieldProbe+way.conf, way.agentless, ip, service{"80/tcp", ready}, serverCommand("http-503", netip.AddrPortFrom(ip, 80).String()))
					s.wantServedWhenReady(s.lan.Client(), "http://"+netip.AddrPortFrom(ip, 80).String()+"/")
				})
			}
		}
	}
}

// TestFieldNotReadyByDefault shows that the other tests can fail: by default a server that
// listens is ready.
func TestFieldNotReadyByDefault(t *testing.T) {
	s := openReady(t, fieldProbe, false, nas4, service{"80/tcp", ""}, serverCommand("http-503", netip.AddrPortFrom(nas4, 80).String()))
	out, _, err := runCurl(s.harness, s.lan.Client(), "http://"+nas4.String()+"/")
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 22 {
		t.Errorf("curl ended with %v: %q, want 22", err, out)
	}
}

// TestFieldReadyOnOtherPorters: programs of the porter's own host wait like other clients, and
// do not see the check. A porter that forwards checks as well, and so does one whose kernel has
// another MAC for the machine.
func TestFieldReadyOnOtherPorters(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run("wake.local/"+ip.String(), func(t *testing.T) {
			s := openReady(t, fieldProbe+"wake: {local: true}\n", false, ip, service{"80/tcp", "http:/"}, serverCommand("http-503", netip.AddrPortFrom(ip, 80).String()))
			atMachine := s.capturePort(s.nas.Host)
			s.wantServedWhenReady(s.lan.Porter(), "http://"+netip.AddrPortFrom(ip, 80).String()+"/")
			checks := 0
			for _, f := range atMachine.Frames() {
				var p lan.Packet
				if !f.Outgoing && p.Parse(f.Data) == lan.Accepted && p.Data() && lan.IsProbePort(p.FromPort) {
					checks++
				}
			}
			if checks < 10 {
				t.Errorf("the machine was asked %d times for a page", checks)
			}
		})
		t.Run("elsewhere/"+ip.String(), func(t *testing.T) {
			variantUnless(t, ip == nas4)
			s := openReady(t, fieldProbe, false, ip, service{"80/tcp", "http:/"}, serverCommand("http-503", netip.AddrPortFrom(ip, 80).String()))
			s.must(s.lan.Porter().SetNeighbor(ip, s.lan.Router().MAC()))
			s.wantServedWhenReady(s.lan.Client(), "http://"+netip.AddrPortFrom(ip, 80).String()+"/")
		})
		t.Run("forwarding/"+ip.String(), func(t *testing.T) {
			variantUnless(t, ip == nas4)
			s := openReady(t, fieldProbe+"claim: {mode: bind}\n", false, ip, service{"80/tcp", "http:/"}, serverCommand("http-503", netip.AddrPortFrom(ip, 80).String()))
			forward(t, s.lan.Porter())
			s.wantServedWhenReady(s.lan.Client(), "http://"+netip.AddrPortFrom(ip, 80).String()+"/")
		})
	}
}

// TestFieldReadyByNginx: nginx answers 502 or 503 until its backend listens.
func TestFieldReadyByNginx(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			path, dir := installed(t, "nginx"), t.TempDir()
			backend := netip.AddrPortFrom(ip, 8080).String()
			conf := fmt.Sprintf("daemon off; master_process off; user root; pid %[1]s/pid; error_log %[1]s/error;\nevents {}\n"+
				"http { access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n"+
				"server { listen %[2]s; location / { proxy_pass http://%[3]s; } } }\n", dir, netip.AddrPortFrom(ip, 80), backend)
			file := filepath.Join(dir, "nginx.conf")
			if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
				t.Fatal(err)
			}
			s := openReady(t, fieldProbe, false, ip, service{"80/tcp", "http:/"}, &lab.Command{Args: []string{path, "-p", dir, "-c", file, "-e", dir + "/error"}},
				lab.ServiceConfig{Addr: ip, Network: "tcp", Port: 8080, Command: serverCommand("http-503", backend)})
			s.wantServedWhenReady(s.lan.Client(), "http://"+netip.AddrPortFrom(ip, 80).String()+"/")
		})
	}
}

// TestFieldReadyByBanner: a server refuses its clients with a text while the system boots.
func TestFieldReadyByBanner(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(mode.name+"/"+ip.String(), func(t *testing.T) {
				variantUnless(t, mode.name == "responder" && ip == nas4 || mode.name == "bind" && ip == nas6)
				s := openReady(t, fieldProbe+mode.conf, false, ip, service{"22/tcp", "banner:SSH-2.0"}, serverCommand("ssh-booting", netip.AddrPortFrom(ip, 22).String()))
				c, err := callOnce(s.within(30*time.Second), s.lan.Client(), netip.AddrPortFrom(ip, 22))
				s.must(err)
				s.must(c.conn.Close())
				ready, err := saidReady(c.banner, "SSH-2.0-test")
				s.must(err)
				if late := c.ended.Sub(ready); late > slack {
					t.Errorf("connected %v after the server was ready", late)
				}
			})
		}
	}
}

// TestFieldReadyAfterADelay: a delay stands for the time that a service without a banner takes.
func TestFieldReadyAfterADelay(t *testing.T) {
	t.Parallel()
	const delay = 2450 * time.Millisecond
	for _, way := range knownBy {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(way.name+"/"+ip.String(), func(t *testing.T) {
				variantUnless(t, way.name == "registered" && ip == nas4 || way.name == "bind" && ip == nas6)
				s := openReady(t, fieldProbe+way.conf, way.agentless, ip, service{"22/tcp", "delay:2450ms"}, nil)
				c := s.call(s.lan.Client(), s.nas, ip, 22)
				if late := c.ended.Sub(s.serviceUpAt().Add(delay)); late < -20*time.Millisecond || late > slack {
					t.Errorf("connected %v after the delay", late)
				}
			})
		}
	}
	t.Run("datagram", func(t *testing.T) {
		h := openFor(t, fieldProbe, time.Minute)
		nas := h.addNAS(nil)
		n := h.daemon.Log.Len()
		h.register(nas.Host, registration("nas", nas.MAC(), monitored{nas4, []any{service{"27015/udp", "delay:2450ms"}}}))
		h.must(nas.Sleep(h.ctx))
		h.waitState(20*time.Second, n, "nas", "asleep")
		game := dialGame(h, h.lan.Client(), nas4)
		sendDatagrams(h, game, "one")
		up := h.waitEvent(nas, lab.NetworkUp)
		wantDatagram(h, game, lab.DatagramReply("nas", 1, []byte("one")))
		for _, e := range nas.Log() {
			if e.Kind == lab.Datagram && e.Time.Sub(up.Time) < delay-1500*time.Millisecond { // the address answers before the network is complete
				t.Errorf("the datagram came %v after the network", e.Time.Sub(up.Time))
			}
		}
	})
}
