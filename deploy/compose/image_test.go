package compose_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/config"
	"nightporter/internal/privilege"
)

// image is the image of make image for the platform of this host.
type image struct {
	archive string // path of the archive
	program string // path of the program in the image
	config  struct {
		User            string
		Entrypoint, Cmd []string
	}
	files map[string]*tar.Header
}

// makeImage builds the image, and reads it like Docker's own store.
func makeImage(t *testing.T) image {
	t.Helper()
	target, dir := runtime.GOARCH, t.TempDir()
	if target == "arm" {
		target = "arm/7"
	}
	out, err := exec.CommandContext(t.Context(), "make", "-C", "../..", "image", "TARGETS="+target, "DIST="+dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made := image{
		archive: filepath.Join(dir, "nightporter-image.tar"),
		program: filepath.Join(dir, "nightporter-linux-"+strings.ReplaceAll(target, "/", "v")),
		files:   make(map[string]*tar.Header),
	}
	parts := make(map[string]string)
	untar(t, slurp(t, made.archive), func(h *tar.Header, content string) { parts[h.Name] = content })
	var entries []struct {
		Config string
		Layers []string
	}
	unmarshal(t, parts["manifest.json"], &entries)
	if len(entries) != 1 {
		t.Fatalf("manifest.json has %d images, expected one", len(entries))
	}
	var whole struct{ Config any }
	whole.Config = &made.config
	unmarshal(t, parts[entries[0].Config], &whole)
	for _, name := range entries[0].Layers {
		layer, err := gzip.NewReader(bytes.NewBufferString(parts[name]))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(layer)
		if err != nil {
			t.Fatal(err)
		}
		untar(t, string(text), func(h *tar.Header, _ string) { made.files["/"+h.Name] = h })
	}
	return made
}

// untar calls each for every entry of an archive.
func untar(t *testing.T, archive string, each func(h *tar.Header, content string)) {
	t.Helper()
	for r := tar.NewReader(bytes.NewBufferString(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		each(h, string(content))
	}
}

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %.100q", err, text)
	}
}

// TestImage: the image's user is the one that root switches to, and owns the folder of the
// state. The program gets only the capabilities that the porter needs, which are those of the
// container in compose.yaml. The image has the program of the health check.
func TestImage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the image: not with -short")
	}
	made := makeImage(t)
	if found, want := made.config.User, fmt.Sprintf("%d:%[1]d", privilege.Unused); found != want {
		t.Errorf("user: found %s, expected %s", found, want)
	}
	state := made.files[config.Default().StateDir+"/"]
	if state == nil || state.Uid != privilege.Unused || state.Gid != privilege.Unused {
		t.Errorf("%s: found %+v: a new volume would belong to another user", config.Default().StateDir, state)
	}
	if made.files[filepath.Dir(config.DefaultPath)+"/"] == nil {
		t.Errorf("no folder for %s", config.DefaultPath)
	}
	if len(made.config.Entrypoint) != 1 || !slices.Equal(made.config.Cmd, []string{"serve"}) {
		t.Fatalf("it runs %q with %q", made.config.Entrypoint, made.config.Cmd)
	}
	program := made.files[made.config.Entrypoint[0]]
	if program == nil {
		t.Fatalf("there is no %s", made.config.Entrypoint[0])
	}
	data := []byte(program.PAXRecords["SCHILY.xattr.security.capability"])
	if len(data) != 20 {
		t.Fatalf("capabilities: found %x", data)
	}
	if found := privilege.Set(binary.LittleEndian.Uint32(data[4:])); found != privilege.Working {
		t.Errorf("capabilities: found %s, expected %s", found, privilege.Working)
	}
	if asked := read(t).Services["nightporter"].Healthcheck.Test[1]; asked != made.config.Entrypoint[0] {
		t.Errorf("the health check runs %s, which is not in the image", asked)
	}
	t.Run("podman", func(t *testing.T) { runInPodman(t, made) })
	t.Run("guide", func(t *testing.T) { followDockerGuide(t, made) })
}
