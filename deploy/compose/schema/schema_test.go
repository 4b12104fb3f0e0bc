// Package schema_test checks compose.yaml with the library of docker compose. It is a module
// of its own, so that the library is no dependency of the daemon.
package schema_test

import (
	"os"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// load reads compose.yaml, with old replaced by new, like docker compose in its directory.
func load(t *testing.T, env types.Mapping, old, replacement string) (*types.Project, error) {
	t.Helper()
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), old); old != "" && n != 1 {
		t.Fatalf("found %q %d times, expected once", old, n)
	}
	changed := strings.Replace(string(text), old, replacement, 1)
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  "..",
		ConfigFiles: []types.ConfigFile{{Filename: "../compose.yaml", Content: []byte(changed)}},
		Environment: env,
	})
}

func TestCompose(t *testing.T) {
	project, err := load(t, types.Mapping{"GRAFANA_PASSWORD": "a$b"}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if project.Name != "nightporter" || len(project.Services) != 4 || len(project.DisabledServices) != 0 {
		t.Errorf("project %q with services %q", project.Name, project.ServiceNames())
	}
	if p := project.Services["grafana"].Environment["GF_SECURITY_ADMIN_PASSWORD"]; p == nil || *p != "a$b" {
		t.Errorf("the password does not reach Grafana: %v", p)
	}
	if err := project.CheckContainerNameUnicity(); err != nil {
		t.Error(err)
	}
}

// TestFaultsAreFound: mistakes in compose.yaml are errors.
func TestFaultsAreFound(t *testing.T) {
	password := types.Mapping{"GRAFANA_PASSWORD": "secret"}
	for _, c := range []struct {
		name             string
		env              types.Mapping
		old, replacement string
		says             string
	}{
		{"no password", nil, "", "", "GRAFANA_PASSWORD"},
		{"misspelt key", password, "network_mode:", "netwrok_mode:", "netwrok_mode"},
		{"wrong type", password, "read_only: true", "read_only: [true]", "read_only"},
		{"unknown volume", password, "- state:/", "- stat:/", "stat"},
		{"unknown service", password, "prometheus: {condition", "promethus: {condition", "promethus"},
		{"unknown condition", password, "service_healthy", "healthy", "condition"},
		{"bad duration", password, "start_period: 60s", "start_period: soon", "start_period"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := load(t, c.env, c.old, c.replacement); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("found %v, expected an error about %s", err, c.says)
			}
		})
	}
}
