package labdaemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/lab/labtest"
)

// standIn in the environment makes the test binary a daemon of little talent.
const standIn = "RIG_TEST_STAND_IN"

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if how := os.Getenv(standIn); how != "" {
		os.Exit(serve(how))
	}
	labtest.Enter()
	os.Exit(m.Run())
}

const exposition = `# HELP nightporter_machine_state State.
# TYPE nightporter_machine_state gauge
nightporter_machine_state{machine="nas",state="asleep"} 1
nightporter_machine_state{machine="nas",state="awake"} 0
# HELP nightporter_registrations_total Registrations.
# TYPE nightporter_registrations_total counter
nightporter_registrations_total 3
# HELP nightporter_wake_latency_seconds Latency.
# TYPE nightporter_wake_latency_seconds histogram
nightporter_wake_latency_seconds_bucket{le="0.001"} 1
nightporter_wake_latency_seconds_bucket{le="+Inf"} 2
nightporter_wake_latency_seconds_sum 0.5
nightporter_wake_latency_seconds_count 2
`

// serve is the stand-in: it logs, serves some pages and ends with SIGTERM. As
// "broken" it ends at once, as "deaf" it does not end with SIGTERM.
func serve(how string) int {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	log.Info("started", "args", fmt.Sprint(os.Args[1:]))
	if how == "broken" {
		fmt.Fprintln(os.Stderr, "interface eth0: it is broken")
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, exposition) })
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, r.Method)
	})
	pages, err := net.Listen("tcp", fmt.Sprintf(":%d", HTTPPort))
	if err != nil {
		log.Error("no HTTP port", "err", err)
		return 1
	}
	registrations, err := net.Listen("tcp", fmt.Sprintf(":%d", RegistrationPort))
	if err != nil {
		log.Error("no registration port", "err", err)
		return 1
	}
	go http.Serve(pages, mux)
	go serveRegistrations(registrations)
	<-ctx.Done()
	if how == "deaf" {
		stop()
		log.Info("SIGTERM was not heard")
		select {}
	}
	log.Info("ended")
	return 3
}

// serveRegistrations answers a registration with what it was.
func serveRegistrations(registrations net.Listener) {
	for {
		conn, err := registrations.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			body := make([]byte, len(wholeBody))
			if _, err := io.ReadFull(conn, body); err == nil {
				fmt.Fprintf(conn, "OK. %s", body)
			}
		}()
	}
}

const wholeBody = `{"mac":"02:77:00:00:00:14"}`
