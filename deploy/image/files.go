package main

import (
	"bytes"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	// user is the uid of the program, which no user of the host has. Started as root, the
	// program switches to the same uid (internal/privilege).
	user = 65521

	entrypoint = "/bin/nightporter"
	stateDir   = "/var/lib/nightporter"
)

// baseFiles are the files that are equal on all platforms, and that rarely change.
func baseFiles(license []byte) []file {
	return []file{
		{path: "bin/", mode: 0o755},
		{path: "etc/", mode: 0o755},
		{path: "etc/group", mode: 0o644, content: fmt.Appendf(nil, "root:x:0:\nnightporter:x:%d:\n", user)},
		{path: "etc/nightporter/", mode: 0o755},
		{path: "etc/passwd", mode: 0o644, content: fmt.Appendf(nil,
			"root:x:0:0:root:/:/sbin/nologin\nnightporter:x:%d:%[1]d:nightporter:%s:/sbin/nologin\n", user, stateDir)},
		{path: "etc/ssl/", mode: 0o755},
		{path: "etc/ssl/certs/", mode: 0o755},
		{path: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: roots()},
		{path: "usr/", mode: 0o755},
		{path: "usr/share/", mode: 0o755},
		{path: "usr/share/doc/", mode: 0o755},
		{path: "usr/share/doc/nightporter/", mode: 0o755},
		{path: "usr/share/doc/nightporter/LICENSE", mode: 0o644, content: license},
		{path: "var/", mode: 0o755},
		{path: "var/lib/", mode: 0o755},
		// A new volume gets this owner.
		{path: stateDir[1:] + "/", mode: 0o700, owner: user},
	}
}

// programFiles are the files of one platform.
func programFiles(content []byte) []file {
	return []file{{path: entrypoint[1:], mode: 0o755, content: content, capabilities: working()}}
}

// roots are the root certificates for HTTPS, as PEM. Roots that Mozilla trusts only for
// certificates before a date are omitted, since PEM cannot express that.
func roots() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return b.Bytes()
}
