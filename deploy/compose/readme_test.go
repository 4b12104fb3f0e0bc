package compose_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"nightporter/internal/config"
	"nightporter/internal/promtest"
)

var block = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// snippet returns the only example of the README with these words.
func snippet(t *testing.T, words string) string {
	t.Helper()
	var found []string
	for _, m := range block.FindAllStringSubmatch(slurp(t, "README.md"), -1) {
		if strings.Contains(m[1], words) {
			found = append(found, m[1])
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d examples have %q, expected one", len(found), words)
	}
	return found[0]
}

// certificate writes a certificate and its key.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "porter.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	write(t, dir, "porter.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestReadmeOnTLS follows the README, and checks the files with the programs that read them.
func TestReadmeOnTLS(t *testing.T) {
	promtest.Need(t, promtest.Promtool)
	dir := t.TempDir()
	certificate(t, dir)
	write(t, dir, "porter_password", "secret")
	promtest.Run(t, nil, promtest.Promtool, "check", "web-config", write(t, dir, "web.yml", snippet(t, "tls_server_config")))
	promtest.Run(t, nil, promtest.Promtool, "check", "config", write(t, dir, "prometheus.yml", snippet(t, "scheme: https")))

	inside := filepath.Join(filepath.Dir(config.DefaultPath), "web.yml") // that directory is mounted
	text := snippet(t, "web_config: "+inside)
	if _, err := config.Load(write(t, dir, "config.yaml", strings.Replace(text, inside, filepath.Join(dir, "web.yml"), 1)), true, nil, nil); err != nil {
		t.Error(err)
	}
}

func TestReadmeOnRemotePrometheus(t *testing.T) {
	promtest.Need(t, promtest.Promtool)
	checkConfig(t, snippet(t, "any number of porters"))
}

// TestReadmeOnOverride: the override switches off the health check of compose.yaml.
func TestReadmeOnOverride(t *testing.T) {
	var over stack
	if err := yaml.Unmarshal([]byte(snippet(t, "services:")), &over); err != nil {
		t.Fatal(err)
	}
	for name, s := range over.Services {
		if !s.Healthcheck.Disable || len(read(t).Services[name].Healthcheck.Test) == 0 {
			t.Errorf("%s: found %+v, expected the health check of compose.yaml to be switched off", name, s.Healthcheck)
		}
	}
}

// TestDockerGuide: docs/docker.md starts the container with the settings of compose.yaml.
func TestDockerGuide(t *testing.T) {
	text := strings.ReplaceAll(slurp(t, "../../docs/docker.md"), "\\\n", "")
	found := regexp.MustCompile(`(?m)^docker run -d .*$`).FindAllString(text, -1)
	if len(found) != 1 {
		t.Fatalf("found %q, expected one command", found)
	}
	porter := read(t).Services["nightporter"]
	want := []string{" --network " + porter.NetworkMode, " --cap-drop " + strings.Join(porter.CapDrop, ","), ":" + config.Default().StateDir + " "}
	for _, name := range porter.CapAdd {
		want = append(want, " --cap-add "+name)
	}
	for _, v := range porter.Volumes {
		if _, to, _ := strings.Cut(v, ":"); strings.HasSuffix(to, ":ro") {
			want = append(want, ":"+to+" ")
		}
	}
	for _, words := range want {
		if !strings.Contains(found[0], words) {
			t.Errorf("it lacks %q: %s", words, found[0])
		}
	}
}

// TestDockerCompose runs docker compose, which needs no engine to check the file. Debian has
// no package of it; the module schema uses its library.
func TestDockerCompose(t *testing.T) {
	if out, err := exec.Command("docker", "compose", "version").CombinedOutput(); err != nil {
		t.Skipf("not tested: no docker compose here: %v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "docker", "compose", "--file", "compose.yaml", "config", "--quiet")
	cmd.Env = append(os.Environ(), "GRAFANA_PASSWORD=secret")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
