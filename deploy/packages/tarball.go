package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path"
)

// tarContent are the files of a tarball, at the paths that `make install` reads.
func (r release) tarContent(about texts, program []byte) ([]file, error) {
	all := []file{
		{path: "nightporter", data: program, mode: 0o755},
		{path: "THIRD-PARTY-NOTICES", data: about.notices},
		{path: "completions/nightporter.bash", data: about.completions["bash"]},
		{path: "completions/_nightporter", data: about.completions["zsh"]},
		{path: "completions/nightporter.fish", data: about.completions["fish"]},
	}
	for name, text := range about.manual {
		all = append(all, file{path: "man/" + name, data: text})
	}
	for _, from := range []string{"LICENSE", "CHANGELOG.md", "config.example.yaml", "deploy/systemd/nightporter.service"} {
		f, err := r.copied(from, path.Base(from))
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	monitoring, err := r.monitoring("")
	return append(all, monitoring...), err
}

// writeTar writes a tarball with files in one folder.
func (r release) writeTar(to, folder string, content []file) error {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range sorted(content) {
		header := &tar.Header{Name: folder + "/" + f.path, Mode: int64(f.mode), Size: int64(len(f.data)), ModTime: r.date, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	packed, err := compressed(b.Bytes())
	if err != nil {
		return err
	}
	return os.WriteFile(to, packed, 0o644)
}
