package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// notification is a message to a webhook.
type notification struct {
	Title, Message string
}

// webhook is a server that receives notifications.
type webhook struct {
	url      string // as notify.urls has it, with a secret
	messages chan notification
}

const webhookSecret = "swordfish"

func newWebhook(t testing.TB, host *lab.Host) *webhook {
	t.Helper()
	w := &webhook{messages: make(chan notification, 64)}
	addr := serveHTTP(t, host, func(_ http.ResponseWriter, r *http.Request) {
		var m notification
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || r.URL.Path != "/"+webhookSecret {
			t.Errorf("a request for %s: %v", r.URL, err)
		}
		w.messages <- m
	})
	w.url = fmt.Sprintf("generic+http://%s/%s?template=json", addr, webhookSecret)
	return w
}

// serveHTTP serves HTTP on a host of the lab until the test ends.
func serveHTTP(t testing.TB, host *lab.Host, handle http.HandlerFunc) net.Addr {
	t.Helper()
	ln, err := host.Listen(t.Context(), "tcp", netip.AddrPortFrom(host.Addr4(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadTimeout: 10 * time.Second, Handler: handle}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(ln) // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return ln.Addr()
}

// nextMessage waits for a notification.
func nextMessage(h *harness, w *webhook) notification {
	h.Helper()
	select {
	case m := <-w.messages:
		return m
	case <-h.within(20 * time.Second).Done():
		h.Fatal("no message came")
		return notification{}
	}
}

// wantOneSent expects that one notification was sent. It counts after its receiver has
// answered.
func wantOneSent(h *harness) {
	h.Helper()
	_, err := h.daemon.Log.Wait(h.within(5*time.Second), 0, labdaemon.Is("notification_sent"))
	h.must(err)
	h.wantMetric(1, `nightporter_notifications_total{outcome="sent"}`)
}

// failWake lets a client knock at a machine that ignores magic packets, and waits for the
// failure.
func failWake(h *harness, client *lab.Host, ip netip.Addr) {
	h.Helper()
	n := h.daemon.Log.Len()
	conn := h.startConnecting(client, ip, 22)
	h.waitMove(n, "nas", "waking", "asleep", machine.WhyAttemptsGone)
	conn.cancel()
}

// TestFailedWakeNotification: a failed wake leads to a notification with the client and the
// service, also when another target is unreachable. Neither a restart nor the next failure
// repeats it, unless the machine was awake in between. No secret is shown.
func TestFailedWakeNotification(t *testing.T) {
	t.Parallel()
	ctx, home := newLAN(t)
	hook := newWebhook(t, home.Porter())
	conf := fastProbe + "wake: {attempts: 3, interval: 200ms}\n" +
		fmt.Sprintf("notify: {urls: ['ntfy://me:%s@127.0.0.1:9/%[1]s?scheme=http', %q]}\n", webhookSecret, hook.url)
	h := openOn(ctx, t, home, conf)
	nas := h.addNAS(func(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll })
	client := h.lan.Client()
	h.putToSleep(nas)
	failWake(h, client, nas4)
	m := nextMessage(h, hook)
	if m.Title != "nas did not wake" || !contains(m.Message, "no answer to 3 rounds of magic packets", client.Addr4().String()+" knocked at "+nas4.String()+":22/tcp", nas.MAC().String()) {
		t.Errorf("received %+v", m)
	}
	wantOneSent(h)
	h.wantMetric(0, `nightporter_notifications_total{outcome="suppressed"}`)
	first := h.daemon.Log.Text()
	if !contains(first, "notification failed, retrying", "notification sent", `"target":"ntfy://127.0.0.1:9"`) {
		t.Error("the log says nothing of a target that cannot be reached")
	}

	// The daemon stops between two attempts at the other target, without waiting.
	began := time.Now()
	code, err := h.daemon.Stop(h.within(10 * time.Second))
	if took := time.Since(began); err != nil || code != 0 || took > 3*time.Second {
		t.Errorf("it took %v to stop: exit code %d, %v", took, code, err)
	}
	if !contains(h.daemon.Log.Text(), `"msg":"notification failed"`, "stopping") {
		t.Error("the log does not account for the message that was given up")
	}
	old := h.daemon.Log.Text()
	h.restart(conf)
	h.waitReclaimed("nas")
	failWake(h, client, nas4)
	h.must(nas.PowerOn())
	h.waitEvent(nas, lab.ServiceUp)
	h.putToSleep(nas)
	failWake(h, client, nas6)
	if m := nextMessage(h, hook); !contains(m.Message, nas6.String()) {
		t.Errorf("received again after the restart: %+v", m)
	}
	_, status, err := h.daemon.Get(h.within(5*time.Second), "/api/v1/status")
	h.must(err)
	if strings.Contains(old+h.daemon.Log.Text()+status, webhookSecret) {
		t.Error("a secret is shown")
	}
}

// TestReloadedTargets: SIGHUP changes the targets, and an invalid configuration does not.
func TestReloadedTargets(t *testing.T) {
	h := open(t, fastProbe)
	h.putToSleep(h.addNAS(nil))
	hook := newWebhook(t, h.lan.Porter())
	h.reload(fastProbe+"notify: {urls: ['https://127.0.0.1/"+webhookSecret+"']}\n", "configuration not reloaded, keeping the old one")
	h.reload(fastProbe+fmt.Sprintf("notify: {urls: [%q]}\n", hook.url), "configuration reloaded")

	other, err := h.lan.AddHost("other", netip.MustParsePrefix("10.77.0.66/24"))
	h.must(err)
	h.must(other.AddAddr(h.ctx, netip.PrefixFrom(nas4, 24)))
	frames, err := lan.Announcement(other.MAC(), ether.Broadcast, other.MAC(), nas4, netip.Addr{}, netip.Addr{})
	h.must(err)
	h.must(other.SendFrame(frames[0]))
	if m := nextMessage(h, hook); m.Title != "Address conflict at nas" || !contains(m.Message, other.MAC().String(), nas4.String()) {
		t.Errorf("received %+v", m)
	}

	// The operator checks the same file.
	path := h.daemon.Dir() + "/config.yaml"
	out, err := h.runOn(h.lan.Porter(), "check", "--config", path, "--notify")
	if err != nil || !contains(out, "/********\"]\n", "notify.urls[0]: generic://", ": sent\n") {
		t.Errorf("check: %v\n%s", err, out)
	}
	if m := nextMessage(h, hook); m.Title != "nightporter: a test" {
		t.Errorf("received %+v", m)
	}
	h.must(h.daemon.Reconfigure("notify: {urls: ['generic+http://127.0.0.1:9/" + webhookSecret + "']}\n"))
	bad, err := h.runOn(h.lan.Porter(), "check", "--config", path, "--notify")
	if err == nil || !contains(bad, "notify.urls[0]: generic://127.0.0.1:9: connection refused\n") {
		t.Errorf("check of a target that cannot be reached: %v\n%s", err, bad)
	}
	if strings.Contains(out+bad+h.daemon.Log.Text(), webhookSecret) {
		t.Error("a secret is shown")
	}
}
