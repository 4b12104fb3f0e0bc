package guard

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nightporter/internal/shell"
)

const (
	// sendBuffer is the size of the largest transaction, in bytes: all addresses of as many
	// machines as can be configured.
	sendBuffer = 4 << 20

	// answerTime is how long one transaction may take. The kernel processes it during the
	// send call, and its answers are there at once. But there may be a single error for
	// many messages, and answers beyond the socket's buffer are dropped: without a deadline
	// the reader would wait for them for ever.
	answerTime = 3 * time.Second
)

// session is a connection to nftables in the kernel. It cannot be used after an error,
// because answers of the failed transaction may follow.
type session struct {
	*nftables.Conn
	setDeadline func(time.Time) error
}

// dial opens a session in the network namespace of the calling thread. It is kept open,
// because the kernel may take long to close one during a removal.
func dial() (*session, error) {
	s := new(session)
	var err error
	s.Conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		s.setDeadline = c.SetDeadline
		return c.SetWriteBuffer(sendBuffer)
	}))
	return s, err
}

// explain returns an error of one line with the cause and a remedy. Each message of a
// transaction may have its own error; the first is the cause.
func explain(err error) error {
	remedy := "the kernel needs nf_tables with the netdev or inet family, in bind mode inet and arp too: modprobe nf_tables"
	switch err = first(err); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		remedy = fmt.Sprintf("the kernel has not answered for %v", answerTime)
	case errors.Is(err, unix.EPERM):
		remedy = "needs CAP_NET_ADMIN: run as root, or: setcap cap_net_raw,cap_net_admin=ep " + shell.Quote(executable())
	}
	return fmt.Errorf("nftables tables %s: %w: %s", tableName, err, remedy)
}

// first returns the kernel's own error, or without one that at the root of the
// first of several.
func first(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	for {
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			err = e.Unwrap()[0]
		case interface{ Unwrap() error }:
			inner := e.Unwrap()
			if inner == nil {
				return err
			}
			err = inner
		default:
			return err
		}
	}
}

func executable() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return "nightporter"
}
