package main

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

const (
	homepage = "https://github.com/nightporter/nightporter"
	doc      = "/usr/share/doc/nightporter/"
)

// debContent are the files that Debian's policy requires.
func (r release) debContent(about texts) ([]file, error) {
	license, err := r.read("LICENSE")
	if err != nil {
		return nil, err
	}
	terms, err := copyright(string(license))
	if err != nil {
		return nil, err
	}
	changes, err := r.read("CHANGELOG.md")
	if err != nil {
		return nil, err
	}
	overrides, err := shipped.ReadFile("files/lintian-overrides")
	if err != nil {
		return nil, err
	}
	example, err := r.copied("config.example.yaml", doc+"config.example.yaml")
	if err != nil {
		return nil, err
	}
	all := []file{
		example,
		{path: doc + "copyright", data: terms},
		{path: "/usr/share/lintian/overrides/nightporter", data: overrides},
		{path: "/usr/share/zsh/vendor-completions/_nightporter", data: about.completions["zsh"]},
	}
	for name, text := range map[string][]byte{
		"changelog.gz":           changes,
		"changelog.Debian.gz":    r.debianChangelog(),
		"third-party-notices.gz": about.notices,
	} {
		b, err := compressed(text)
		if err != nil {
			return nil, err
		}
		all = append(all, file{path: doc + name, data: b})
	}
	return all, nil
}

// debianChangelog has one entry, in the format of Debian policy section 4.4.
func (r release) debianChangelog() []byte {
	return fmt.Appendf(nil, "nightporter (%s-%s) unstable; urgency=medium\n\n  * changelog.gz says what changed.\n\n -- %s  %s\n",
		r.version, packageRelease, maintainer, r.date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
}

// copyright is the license in Debian's copyright-format 1.0, in which lines of a text begin
// with a space and an empty line is a dot.
func copyright(license string) ([]byte, error) {
	m := holders.FindStringSubmatch(license)
	if m == nil {
		return nil, fmt.Errorf("LICENSE: found no line with Copyright (c), followed by the terms")
	}
	var b strings.Builder
	fmt.Fprintf(&b, copyrightHead, homepage, doc, m[1])
	for line := range strings.Lines(strings.TrimSpace(m[2])) {
		fmt.Fprintln(&b, " "+cmp.Or(strings.TrimSpace(line), "."))
	}
	return []byte(b.String()), nil
}

// holders returns the holders of the copyright, and the terms.
var holders = regexp.MustCompile(`(?s)Copyright \(c\) ([^\n]+)\n(.+)`)

const copyrightHead = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: nightporter
Source: %s
Comment: %sthird-party-notices.gz has the licenses of the Go modules
 that are linked into the program.

Files: *
Copyright: %s
License: Expat
`

// rpmContent are the files that Fedora and openSUSE have at other paths.
func (r release) rpmContent(about texts) ([]file, error) {
	all := []file{
		{path: "/usr/share/zsh/site-functions/_nightporter", data: about.completions["zsh"]},
		{path: "/usr/share/licenses/nightporter/THIRD-PARTY-NOTICES", data: about.notices},
	}
	for from, path := range map[string]string{
		"LICENSE":             "/usr/share/licenses/nightporter/LICENSE",
		"CHANGELOG.md":        doc + "CHANGELOG.md",
		"config.example.yaml": doc + "config.example.yaml",
	} {
		f, err := r.copied(from, path)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}
