package compose_test

import (
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/config"
	"nightporter/internal/promtest"
)

// ports are the ports of the services in their containers.
var ports = map[string]string{"prometheus": "9090", "alertmanager": "9093", "grafana": "3000"}

func TestPublishedPorts(t *testing.T) {
	for name, port := range ports {
		want := []string{"127.0.0.1:" + port + ":" + port}
		if name == "grafana" { // it requires a password
			want = []string{port + ":" + port}
		}
		if got := read(t).Services[name].Ports; !slices.Equal(got, want) {
			t.Errorf("%s: ports: found %q, expected %q", name, got, want)
		}
	}
}

// option returns the value of --name=value.
func option(t *testing.T, s service, name string) string {
	t.Helper()
	for _, word := range s.Command {
		if value, ok := strings.CutPrefix(word, "--"+name+"="); ok {
			return value
		}
	}
	t.Errorf("no --%s in %q", name, s.Command)
	return ""
}

// keeps checks that a data directory is on a volume.
func keeps(t *testing.T, s service, dir string) {
	t.Helper()
	if !slices.ContainsFunc(s.mounts(t), func(m mount) bool { return !m.bind && m.to == dir }) {
		t.Errorf("%s is no volume", dir)
	}
}

type targets struct {
	StaticConfigs []struct {
		Targets []string
		Labels  map[string]string
	} `yaml:"static_configs"`
}

// prometheusConfig is prometheus.yml.
type prometheusConfig struct {
	Global struct {
		ScrapeInterval     string `yaml:"scrape_interval"`
		EvaluationInterval string `yaml:"evaluation_interval"`
	}
	RuleFiles     []string `yaml:"rule_files"`
	Alerting      struct{ Alertmanagers []targets }
	ScrapeConfigs []struct {
		JobName string `yaml:"job_name"`
		targets `yaml:",inline"`
	} `yaml:"scrape_configs"`
}

func TestPrometheus(t *testing.T) {
	s := read(t)
	prometheus := s.Services["prometheus"]
	keeps(t, prometheus, option(t, prometheus, "storage.tsdb.path"))
	var conf prometheusConfig
	decode(t, prometheus.host(t, option(t, prometheus, "config.file")), &conf)

	if got, want := conf.Alerting.Alertmanagers[0].StaticConfigs[0].Targets, []string{"alertmanager:" + ports["alertmanager"]}; !slices.Equal(got, want) {
		t.Errorf("alerts go to %q, expected %q", got, want)
	}
	job := conf.ScrapeConfigs[0]
	if job.JobName != "nightporter" { // the alerts match this name
		t.Errorf("job_name: found %q", job.JobName)
	}
	target := job.StaticConfigs[0]
	host, port, err := net.SplitHostPort(target.Targets[0])
	if err != nil || ":"+port != config.Default().HTTP.Listen[0] || !slices.Equal(prometheus.ExtraHosts, []string{host + ":host-gateway"}) {
		t.Errorf("the porter is at %q, %v; its default is %q, and the container knows %q", target.Targets[0], err, config.Default().HTTP.Listen, prometheus.ExtraHosts)
	}
	if target.Labels["instance"] == "" {
		t.Error("the porter has no name but the container's for its host")
	}

	var sources datasources
	decode(t, s.Services["grafana"].host(t, "/etc/grafana/provisioning/datasources/prometheus.yaml"), &sources)
	if step := sources.Datasources[0].JSONData["timeInterval"]; step != conf.Global.ScrapeInterval {
		t.Errorf("Grafana expects samples every %s, Prometheus takes them every %s", step, conf.Global.ScrapeInterval)
	}
}

// TestPromtoolChecksConfig: promtool accepts prometheus.yml and the rules, whose path differs
// outside of the container.
func TestPromtoolChecksConfig(t *testing.T) {
	promtest.Need(t, promtest.Promtool)
	prometheus := read(t).Services["prometheus"]
	text := slurp(t, prometheus.host(t, option(t, prometheus, "config.file")))
	rules, err := filepath.Abs(prometheus.host(t, "/rules"))
	if err != nil {
		t.Fatal(err)
	}
	said := checkConfig(t, strings.Replace(text, "- /rules/", "- "+rules+"/", 1))
	if found := regexp.MustCompile(`SUCCESS: [1-9][0-9]* rules found`).FindAllString(said, -1); len(found) != 2 {
		t.Errorf("expected rules in two files:\n%s", said)
	}
}

func checkConfig(t *testing.T, text string) (said string) {
	t.Helper()
	return promtest.Run(t, nil, promtest.Promtool, "check", "config", write(t, t.TempDir(), "prometheus.yml", text))
}

// examples are the commented examples of alertmanager.yml.
var examples = regexp.MustCompile(`(?m)^( *)#(\w|  )`)

func TestAlertmanager(t *testing.T) {
	alertmanager := read(t).Services["alertmanager"]
	keeps(t, alertmanager, option(t, alertmanager, "storage.path"))
	file := alertmanager.host(t, option(t, alertmanager, "config.file"))
	promtest.Need(t, promtest.Amtool)
	promtest.Run(t, nil, promtest.Amtool, "check-config", file)

	text := examples.ReplaceAllString(slurp(t, file), "$1$2")
	if !strings.Contains(text, "\n    webhook_configs:\n") || !strings.Contains(text, "\n    email_configs:\n") {
		t.Errorf("no examples in\n%s", text)
	}
	freed := write(t, t.TempDir(), "alertmanager.yml", text)
	promtest.Run(t, nil, promtest.Amtool, "check-config", freed)
	for _, severity := range []string{"critical", "warning", "info"} {
		promtest.Run(t, nil, promtest.Amtool, "config", "routes", "test", "--config.file="+freed, "--verify.receivers=owner", "severity="+severity)
	}
}

// datasources and providers are Grafana's provisioning files.
type datasources struct {
	APIVersion  int `yaml:"apiVersion"`
	Datasources []struct {
		Name, UID, Type, Access, URL string
		IsDefault                    bool `yaml:"isDefault"`
		Editable                     bool
		JSONData                     map[string]string `yaml:"jsonData"`
	}
}

type providers struct {
	APIVersion int `yaml:"apiVersion"`
	Providers  []struct {
		Name, Folder, Type string
		AllowUIUpdates     bool `yaml:"allowUiUpdates"`
		Options            struct{ Path string }
	}
}

// TestGrafana: data sources are services of the stack, and the dashboards are in the folder
// that Grafana reads.
func TestGrafana(t *testing.T) {
	s := read(t)
	grafana := s.Services["grafana"]
	keeps(t, grafana, "/var/lib/grafana")
	var sources datasources
	decode(t, grafana.host(t, "/etc/grafana/provisioning/datasources/prometheus.yaml"), &sources)
	defaults := 0
	for _, d := range sources.Datasources {
		u, err := url.Parse(d.URL)
		if err != nil || u.Scheme != "http" || u.Port() == "" || ports[u.Hostname()] != u.Port() || d.Type != u.Hostname() || d.UID == "" {
			t.Errorf("%s: %s at %s, %v: expected a service of the stack", d.Name, d.Type, d.URL, err)
		}
		if d.IsDefault {
			defaults++
		}
	}
	if defaults != 1 || sources.APIVersion != 1 {
		t.Errorf("%d default data sources, apiVersion %d", defaults, sources.APIVersion)
	}
	var boards providers
	decode(t, grafana.host(t, "/etc/grafana/provisioning/dashboards/nightporter.yaml"), &boards)
	if boards.APIVersion != 1 || len(boards.Providers) != 1 || boards.Providers[0].Type != "file" {
		t.Fatalf("found %+v", boards)
	}
	dir := boards.Providers[0].Options.Path
	for _, name := range []string{"overview.json", "machine.json", "porter.json"} {
		grafana.host(t, dir+"/"+name)
	}
	if home := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]; home != dir+"/overview.json" {
		t.Errorf("the first page is %s", home)
	}
}
