package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/goreleaser/nfpm/v2/rpm"
)

const description = `sleep proxy that wakes machines by Wake-on-LAN
nightporter lets a NAS or a desktop sleep. While a machine sleeps, nightporter
answers for its addresses. The first connection to one of its services wakes
the machine, waits until the service is up, and is handed over.`

const maintainer = "The nightporter authors <nightporter@users.noreply.github.com>"

// pack builds the file of a target in a directory.
func (r release) pack(t target, about texts, program []byte, dir string) error {
	path := filepath.Join(dir, t.file(r.version))
	if t.format == formatTar {
		content, err := r.tarContent(about, program)
		if err != nil {
			return err
		}
		return r.writeTar(path, strings.TrimSuffix(t.file(r.version), ".tar.gz"), content)
	}
	stage, err := os.MkdirTemp(dir, "stage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	info, err := r.info(t, about, program, stage)
	if err != nil {
		return err
	}
	return write(path, info, t)
}

// write writes a package by nfpm.
func write(path string, info *nfpm.Info, t target) error {
	packager := nfpm.Packager(deb.Default)
	if t.format == formatRPM {
		packager = rpm.DefaultRPM
	}
	if err := nfpm.PrepareForPackager(info, t.format); err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := packager.Package(info, out); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// info describes a .deb or .rpm to nfpm. The files are in a staging folder.
func (r release) info(t target, about texts, program []byte, stage string) (*nfpm.Info, error) {
	content, err := r.installed(about, program)
	if err != nil {
		return nil, err
	}
	info := &nfpm.Info{
		Name: "nightporter", Arch: t.arch, Version: r.version, VersionSchema: "none", Release: packageRelease,
		Section: "net", Priority: "optional", Maintainer: maintainer, Description: description,
		Homepage: homepage, License: "MIT", MTime: r.date, DisableGlobbing: true,
	}
	own, names := r.debContent, debScripts
	switch t.format {
	case formatDeb:
		info.Deb = nfpm.Deb{Arch: t.arch}
		info.Suggests = []string{"prometheus"}
	case formatRPM:
		own, names = r.rpmContent, rpmScripts
		info.RPM = nfpm.RPM{Arch: t.arch, BuildHost: "localhost", Packager: maintainer}
	}
	special, err := own(about)
	if err != nil {
		return nil, err
	}
	content = sorted(append(content, special...))
	if info.Contents, err = r.lay(content, stage); err != nil {
		return nil, err
	}
	if t.format == formatRPM {
		info.Contents = append(info.Contents, r.folders(content)...)
	}
	info.Scripts, err = names.lay(stage)
	return nfpm.WithDefaults(info), err
}

// lay writes files into a staging folder, from which nfpm reads them.
func (r release) lay(content []file, stage string) (files.Contents, error) {
	var all files.Contents
	for i, f := range content {
		source := filepath.Join(stage, fmt.Sprint(i))
		if err := os.WriteFile(source, f.data, 0o600); err != nil {
			return nil, err
		}
		c := &files.Content{
			Source: source, Destination: f.path, Type: files.TypeFile,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: fs.FileMode(f.mode), MTime: r.date},
		}
		if f.config {
			c.Type = files.TypeConfigNoReplace
		}
		all = append(all, c)
	}
	return all, nil
}

// folders are the folders that only this package has. rpm removes a folder only if a package
// owns it; dpkg needs no entry.
func (r release) folders(content []file) (own files.Contents) {
	seen := map[string]bool{}
	for _, f := range content {
		for folder := path.Dir(f.path); strings.Contains(folder+"/", "/nightporter/") && !seen[folder]; folder = path.Dir(folder) {
			seen[folder] = true
			own = append(own, &files.Content{
				Destination: folder, Type: files.TypeDir,
				FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: fs.ModeDir | 0o755, MTime: r.date},
			})
		}
	}
	return own
}

// scriptNames are the names of the scripts of a format.
type scriptNames struct{ post, preRemove, postRemove string }

var (
	debScripts = scriptNames{"postinst", "prerm", "postrm"}
	rpmScripts = scriptNames{"rpm-post", "rpm-preun", "rpm-postun"}
)

// lay writes the scripts into a staging folder. The script after an installation ends with
// the welcome.
func (n scriptNames) lay(stage string) (nfpm.Scripts, error) {
	path := func(name string) string { return filepath.Join(stage, name) }
	for name, parts := range map[string][]string{
		n.post: {n.post, "welcome"}, n.preRemove: {n.preRemove}, n.postRemove: {n.postRemove},
	} {
		var text []byte
		for _, part := range parts {
			b, err := shipped.ReadFile("files/" + part)
			if err != nil {
				return nfpm.Scripts{}, err
			}
			text = append(text, b...)
		}
		if err := os.WriteFile(path(name), text, 0o755); err != nil {
			return nfpm.Scripts{}, err
		}
	}
	return nfpm.Scripts{PostInstall: path(n.post), PreRemove: path(n.preRemove), PostRemove: path(n.postRemove)}, nil
}
