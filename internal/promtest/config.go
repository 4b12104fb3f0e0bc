package promtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"go.yaml.in/yaml/v3"
)

const (
	prometheusFile   = "prometheus.yml"
	alertmanagerFile = "alertmanager.yml"
	rulesDir         = "rules"
	historyFile      = "history.txt"
	dataDir          = "prometheus"
)

type object = map[string]any

// write writes the configuration of both programs, and the rules.
func (o Options) write() error {
	if err := o.copyRules(); err != nil {
		return err
	}
	for name, content := range map[string]object{prometheusFile: o.prometheus(), alertmanagerFile: o.alertmanager()} {
		text, err := yaml.Marshal(content)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(o.Dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) prometheus() object {
	var jobs []object
	for _, j := range o.Jobs {
		jobs = append(jobs, object{"job_name": j.Name, "static_configs": targets(j.Targets...)})
	}
	return object{
		"global": object{
			"scrape_interval":     Interval.String(),
			"scrape_timeout":      Interval.String(),
			"evaluation_interval": Interval.String(),
		},
		"rule_files":     []string{filepath.Join(o.Dir, rulesDir, "*.yml")},
		"alerting":       object{"alertmanagers": []object{{"static_configs": targets(o.address(alertmanagerPort))}}},
		"scrape_configs": jobs,
	}
}

func targets(addrs ...string) []object { return []object{{"targets": addrs}} }

func (o Options) alertmanager() object {
	return object{
		"route": object{
			"receiver":        "webhook",
			"group_by":        []string{"job", "instance", "machine"},
			"group_wait":      "0s",
			"group_interval":  "1s",
			"repeat_interval": "12h",
		},
		"receivers": []object{{
			"name":            "webhook",
			"webhook_configs": []object{{"url": o.Webhook, "send_resolved": true}},
		}},
	}
}

// groupInterval is how often a group of rules is evaluated, where it says so
// itself.
var groupInterval = regexp.MustCompile(`(?m)^( +interval:) \S+$`)

// copyRules copies the rules. A group that is evaluated every few minutes is
// evaluated at once; all else, also what an alert waits for, stays.
func (o Options) copyRules() error {
	dir := filepath.Join(o.Dir, rulesDir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, path := range o.Rules {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text = groupInterval.ReplaceAll(text, []byte("$1 "+Interval.String()))
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// remember puts the history into the data of Prometheus.
func (o Options) remember(ctx context.Context) error {
	if o.History == "" {
		return nil
	}
	path := filepath.Join(o.Dir, historyFile)
	if err := os.WriteFile(path, []byte(o.History), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, Promtool, "tsdb", "create-blocks-from", "openmetrics", path, filepath.Join(o.Dir, dataDir))
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, said)
	}
	return nil
}
