package promtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"nightporter/internal/lab"
)

// Interval is the pause between two scrapes of a target, and between two
// evaluations of a rule.
const Interval = 500 * time.Millisecond

// Where both programs listen, on their host.
const (
	prometheusPort   = 9090
	alertmanagerPort = 9093
)

// Options configures the targets, the rules and the webhook of a Stack.
type Options struct {
	Host    *lab.Host // where both programs run
	Dir     string    // for their configuration, data and logs
	Rules   []string  // paths of rule files
	Jobs    []Job
	Webhook string // URL that gets every alert
	History string // what Prometheus remembers from before its start, in OpenMetrics
}

// A Job is a scrape job: its targets are written as host:port.
type Job struct {
	Name    string
	Targets []string
}

// Stack is a running Prometheus with its Alertmanager.
type Stack struct {
	host     *lab.Host
	client   *http.Client
	dir      string
	programs []*program
}

type program struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of the process; after exited
}

// Start starts both programs and waits until they are ready. They end with Kill,
// or with the lab.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if err := o.write(); err != nil {
		return nil, err
	}
	if err := o.remember(ctx); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	s := &Stack{host: o.Host, dir: o.Dir, client: &http.Client{Transport: &http.Transport{DialContext: o.Host.Dial}}}
	err := errors.Join(
		s.start(ctx, Alertmanager,
			"--config.file="+filepath.Join(o.Dir, alertmanagerFile), "--storage.path="+filepath.Join(o.Dir, "alertmanager"),
			"--web.listen-address="+o.address(alertmanagerPort), "--cluster.listen-address="),
		s.start(ctx, Prometheus,
			"--config.file="+filepath.Join(o.Dir, prometheusFile), "--storage.tsdb.path="+filepath.Join(o.Dir, dataDir),
			"--web.listen-address="+o.address(prometheusPort)),
	)
	if err == nil {
		err = errors.Join(s.waitReady(ctx, alertmanagerPort), s.waitReady(ctx, prometheusPort))
	}
	if err != nil {
		s.Kill()
		return nil, fmt.Errorf("%w; they said:\n%s", err, s.Log())
	}
	return s, nil
}

func (o Options) address(port uint16) string {
	return netip.AddrPortFrom(o.Host.Addr4(), port).String()
}

func (s *Stack) start(ctx context.Context, name string, args ...string) error {
	log, err := os.Create(s.logOf(name))
	if err != nil {
		return err
	}
	defer log.Close() // the process has it then
	p := &program{name: name, cmd: s.host.Command(context.WithoutCancel(ctx), name, args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := s.host.Start(p.cmd); err != nil {
		return err
	}
	s.programs = append(s.programs, p)
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return nil
}

// waitReady asks /-/ready until it says yes.
func (s *Stack) waitReady(ctx context.Context, port uint16) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		_, err := s.get(ctx, port, "/-/ready", nil)
		if err == nil {
			return nil
		}
		for _, p := range s.programs {
			select {
			case <-p.exited:
				return fmt.Errorf("%s ended at once: %w", p.name, errors.Join(errors.New(p.cmd.ProcessState.String()), p.err))
			default:
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("port %d is not ready: %w", port, errors.Join(ctx.Err(), err))
		}
	}
}

// Kill ends both programs at once.
func (s *Stack) Kill() {
	for _, p := range s.programs {
		_ = p.cmd.Process.Kill() // it may have ended by itself
	}
	for _, p := range s.programs {
		<-p.exited
	}
	s.client.CloseIdleConnections()
}

// Log returns what both programs logged.
func (s *Stack) Log() string {
	var all string
	for _, p := range s.programs {
		text, err := os.ReadFile(s.logOf(p.name))
		all += fmt.Sprintf("%s:\n%s", p.name, text)
		if err != nil {
			all += err.Error() + "\n"
		}
	}
	return all
}

func (s *Stack) logOf(name string) string { return filepath.Join(s.dir, name+".log") }
