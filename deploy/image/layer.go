package main

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"io"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"
)

// file is a file or a directory in a layer.
type file struct {
	path         string // of a directory: ends in "/"
	mode         int64
	owner        int // user and group
	content      []byte
	capabilities []byte // the attribute security.capability
}

// layer builds a layer of files. A directory has to precede its files.
func layer(files []file, created time.Time) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{
			Name: f.path, Mode: f.mode, Uid: f.owner, Gid: f.owner,
			Size: int64(len(f.content)), ModTime: created, Format: tar.FormatPAX,
		}
		if f.capabilities != nil {
			h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": string(f.capabilities)}
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}

// working are the capabilities that the program needs, as file capabilities (struct
// vfs_cap_data of linux/capability.h). A user other than root gets only these, as far as the
// container has them. The effective bit is not set, so that the program starts without them
// too and can report what is missing.
func working() []byte {
	const revision2 = 0x02000000 // VFS_CAP_REVISION_2
	data := binary.LittleEndian.AppendUint32(nil, revision2)
	data = binary.LittleEndian.AppendUint32(data, 1<<unix.CAP_NET_ADMIN|1<<unix.CAP_NET_RAW) // permitted
	return append(data, make([]byte, 12)...)
}
