package compose_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"nightporter/internal/guide"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
)

// dockerReader follows the guide to Docker on the porter's host of a lab. Podman replaces
// docker, as with Debian's package podman-docker.
type dockerReader struct {
	*podman
	ctx    context.Context
	porter *lab.Host
	folder string
}

// followDockerGuide starts, uses, upgrades and removes the container by the guides' commands.
func followDockerGuide(t *testing.T, made image) {
	start := commands(t, "docker.md", "Start it", 2)
	use := commands(t, "docker.md", "Use it", 2)
	remove := commands(t, "upgrade-uninstall.md", "Docker and Podman", 2)
	d := newDockerhand(t, made)
	d.follow(start...)
	d.serves("")
	d.follow(use[0])
	d.configure("machines:\n  - {name: nas, mac: \"3c:ec:ef:12:34:56\", ip: 10.77.0.20, ports: [ssh], agentless: true}\n")
	d.follow(use[1])
	d.serves(`"name":"nas"`)
	d.follow(remove[0])
	d.follow(start...)
	d.serves(`"name":"nas"`)
	d.follow(remove...)
	for _, args := range [][]string{{"ps", "--all", "--quiet"}, {"volume", "ls", "--quiet"}, {"images", "--quiet", loaded}} {
		if out, err := d.command(d.ctx, args...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("podman %q: %v\n%s", args, err, out)
		}
	}
}

// commands returns the commands in a section of a guide.
func commands(t *testing.T, page, heading string, want int) []guide.Block {
	t.Helper()
	blocks, err := guide.Section(filepath.Join("../../docs", page), heading, guide.Porter, want)
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

func newDockerhand(t *testing.T, made image) *dockerReader {
	labtest.Need(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	p := newPodman(t)
	p.needContainers(ctx, made.program)
	d := &dockerReader{podman: p, ctx: ctx, porter: labtest.New(t).Porter(), folder: filepath.Join(p.dir, "home")}
	bin := filepath.Join(p.dir, "bin")
	// A run gets the limits that Debian's podman needs without systemd, and a time limit for
	// the case that this test is killed.
	docker := fmt.Sprintf("#!/bin/sh\ncommand=$1\nshift\n[ \"$command\" != run ] || set -- --timeout 120 "+
		"--ulimit nofile=1024:1024 --ulimit nproc=4096:4096 \"$@\"\nexec %s \"$command\" \"$@\"\n", p.command(ctx))
	for _, err := range []error{
		os.Mkdir(bin, 0o755), os.MkdirAll(filepath.Join(d.folder, "etc"), 0o755),
		os.Symlink(made.archive, filepath.Join(d.folder, "nightporter-image.tar")),
		os.WriteFile(filepath.Join(bin, "docker"), []byte(docker), 0o755),
		os.WriteFile(filepath.Join(bin, "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// onThisHost are paths of the host that a test must not use.
var onThisHost = regexp.MustCompile(`(mkdir -p |-v )/etc/nightporter\b`)

// follow runs the commands of several blocks.
func (d *dockerReader) follow(blocks ...guide.Block) {
	d.Helper()
	for _, b := range blocks {
		d.paste(b)
	}
}

// paste runs the commands of a block, with the configuration in a folder of the test.
// Restart policies are removed, since a restarted container would outlive the test.
func (d *dockerReader) paste(b guide.Block) {
	d.Helper()
	text := onThisHost.ReplaceAllString(b.Text, "${1}"+filepath.Join(d.folder, "etc"))
	text = strings.ReplaceAll(text, " --restart unless-stopped", "")
	for _, word := range strings.Fields(text) {
		if strings.HasPrefix(word, "/") && !strings.HasPrefix(word, d.folder) && !strings.HasPrefix(word, "/etc/localtime:") {
			d.Fatalf("line %d: found %s, expected no path of this host", b.Line, word)
		}
	}
	out, err := os.Create(filepath.Join(d.dir, "said"))
	if err != nil {
		d.Fatal(err)
	}
	defer out.Close()
	cmd := exec.CommandContext(d.ctx, "sh", "-ec", text)
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.folder, out, out
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(d.dir, "bin")+":"+os.Getenv("PATH"))
	if err := d.porter.Start(cmd); err != nil {
		d.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		d.Fatalf("line %d: %v\n%s\n%s", b.Line, err, text, slurp(d.T, out.Name()))
	}
}

// configure writes the configuration file.
func (d *dockerReader) configure(text string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.folder, "etc", "config.yaml"), []byte(text), 0o644); err != nil {
		d.Fatal(err)
	}
}

// serves waits until the porter is ready and its machines are as wanted.
func (d *dockerReader) serves(want string) {
	d.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.porter.Dial(ctx, network, "127.0.0.1:9717")
	}}}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for late := time.After(20 * time.Second); ; {
		said, err := d.machines(&client)
		if err == nil && strings.Contains(said, want) {
			return
		}
		select {
		case <-again.C:
		case <-late:
			d.Fatalf("the porter does not say %q: %v\n%s", want, err, said)
		}
	}
}

// machines returns the porter's answer about its machines, once the porter is ready.
func (d *dockerReader) machines(client *http.Client) (string, error) {
	said := ""
	for _, path := range []string{"/-/ready", "/api/v1/machines"} {
		answer, err := client.Get("http://porter" + path)
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if said = string(text); err != nil || answer.StatusCode != http.StatusOK {
			return said, fmt.Errorf("%s: %s, %v", path, answer.Status, err)
		}
	}
	return said, nil
}
