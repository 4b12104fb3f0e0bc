package labdaemon

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
)

// start starts the stand-in.
func start(t *testing.T, how string) (*lab.LAN, *Daemon, string) {
	t.Helper()
	lan, dir := labtest.New(t), t.TempDir()
	d, err := Start(t.Context(), lan, dir, Options{Exe: os.Args[0], Env: []string{standIn + "=" + how}, Config: "wake: {attempts: 2}\n"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Kill)
	return lan, d, dir
}

func within(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestDaemon(t *testing.T) {
	lan, d, dir := start(t, "well")
	ctx := within(t, patience)
	e, err := d.Log.Wait(ctx, 0, says("started"))
	if want := "[serve --config " + filepath.Join(dir, "config.yaml") + "]"; err != nil || e.Field("args") != want {
		t.Errorf("started with %s, %v; want %s", e.Field("args"), err, want)
	}
	conf := func() string {
		b, err := os.ReadFile(filepath.Join(dir, "config.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if text := conf(); !strings.Contains(text, "state_dir: "+dir) || !strings.HasSuffix(text, "wake: {attempts: 2}\n") {
		t.Errorf("configuration:\n%s", text)
	}
	if err := d.Reconfigure("wake: {attempts: 3}\n"); err != nil || !strings.HasSuffix(conf(), "wake: {attempts: 3}\n") {
		t.Errorf("%v, configuration:\n%s", err, conf())
	}
	if status, body, err := d.Post(ctx, "/echo"); err != nil || status != 418 || body != "POST" {
		t.Errorf("POST: %d %q, %v", status, body, err)
	}
	if err := lan.Porter().DelAddr(netip.MustParsePrefix("10.77.0.2/24")); err != nil {
		t.Fatal(err)
	}
	if status, _, err := d.GetInside(ctx, "/metrics"); err != nil || status != 200 {
		t.Errorf("GET by the loopback: %d, %v", status, err)
	}
	if err := lan.Porter().AddAddr(ctx, netip.MustParsePrefix("10.77.0.2/24")); err != nil {
		t.Fatal(err)
	}
	half := len(wholeBody) / 2
	if answer, err := d.RegisterIn(ctx, lan.Client(), lan.Porter().Addr6(), []string{wholeBody[:half], wholeBody[half:]}, time.Millisecond); err != nil || answer != "OK. "+wholeBody {
		t.Errorf("registered in two pieces: %q, %v", answer, err)
	}
	if answer, err := d.Register(ctx, lan.Client(), wholeBody); err != nil || answer != "OK. "+wholeBody {
		t.Errorf("registered: %q, %v", answer, err)
	}
	if _, err := d.Register(within(t, 50*time.Millisecond), lan.Client(), "{"); err == nil {
		t.Error("half a registration was answered")
	}
	if code, err := d.Stop(ctx); code != 3 || err != nil {
		t.Errorf("ended with %d, %v", code, err)
	}
	if _, err := d.Log.Wait(ctx, 0, says("ended")); err != nil {
		t.Error(err)
	}
	if _, err := d.Log.Wait(ctx, 0, says("never")); err == nil || !strings.Contains(err.Error(), "the daemon ended") {
		t.Errorf("waiting for a daemon that has ended: %v", err)
	}
	if code, err := d.Stop(ctx); code != 3 || err != nil {
		t.Errorf("stopped again: %d, %v", code, err)
	}
	d, err = d.AgainUntil(ctx, "wake: {attempts: 4}\n", "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Kill()
	if d.Dir() != dir || !strings.HasSuffix(conf(), "wake: {attempts: 4}\n") {
		t.Errorf("started again in %s:\n%s", d.Dir(), conf())
	}
}

func TestMetrics(t *testing.T) {
	_, d, _ := start(t, "well")
	got, err := d.Metrics(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	want := Samples{
		`nightporter_machine_state{machine="nas", state="asleep"}`: 1,
		`nightporter_machine_state{machine="nas", state="awake"}`:  0,
		`nightporter_registrations_total`:                          3,
		`nightporter_wake_latency_seconds_bucket{le="0.001"}`:      1,
		`nightporter_wake_latency_seconds_bucket{le="+Inf"}`:       2,
		`nightporter_wake_latency_seconds_sum`:                     0.5,
		`nightporter_wake_latency_seconds_count`:                   2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
	d.Kill()
	if _, err := d.Metrics(within(t, patience)); err == nil {
		t.Error("a daemon that was killed has metrics")
	}
}

func TestChanged(t *testing.T) {
	before := Samples{"np_a": 1, "np_b": 2, "np_gone": 3, "go_c": 4}
	now := Samples{"np_a": 1, "np_b": 2.5, "np_new": 1, "np_zero": 0, "go_c": 5}
	if diff := cmp.Diff([]string{"np_b 2.5", "np_new 1"}, now.Changed(before, "np_")); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

// A daemon that ends at once is an error that shows what it said.
func TestStartFails(t *testing.T) {
	lan := labtest.New(t)
	_, err := Start(t.Context(), lan, t.TempDir(), Options{Exe: os.Args[0], Env: []string{standIn + "=broken"}})
	for _, want := range []string{"ended at once", "exit status 1", "interface eth0: it is broken"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwithout %q", err, want)
		}
	}
	if _, err := Start(t.Context(), lan, t.TempDir(), Options{Exe: filepath.Join(t.TempDir(), "none")}); err == nil || !strings.Contains(err.Error(), "start the daemon") {
		t.Errorf("a program that is not there: %v", err)
	}
	if _, err := Start(t.Context(), lan, filepath.Join(t.TempDir(), "none"), Options{Exe: os.Args[0]}); err == nil {
		t.Error("started without a place for its configuration")
	}
}

// A daemon that does not stop is killed, and that is an error.
func TestStopFails(t *testing.T) {
	_, d, _ := start(t, "deaf")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		_, _ = d.Log.Wait(within(t, patience), 0, says("SIGTERM was not heard"))
	}()
	if _, err := d.Stop(ctx); err == nil || !strings.Contains(err.Error(), "did not stop") {
		t.Errorf("stopped: %v", err)
	}
	select {
	case <-d.exited:
	default:
		t.Error("it still runs")
	}
}
