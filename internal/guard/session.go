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
	// sendBuffer holds the largest transaction in octets: every address of as many
	// machines as can be configured.
	sendBuffer = 4 << 20

	// answerTime is how long one transaction may take. The kernel carries it out
	// while it takes it, and all that it has to say is there at once. But an error
	// may be a single answer to many messages, and answers that the socket has no
	// room for are dropped: without a deadline they would be waited for for ever.
	answerTime = 3 * time.Second
)

// session is a connection to nftables in the kernel, of use until its first
// error: after that answers may be left on it that belong to nothing asked later.
type session struct {
	*nftables.Conn
	setDeadline func(time.Time) error
}

// dial opens a session in the network namespace of the calling thread. It lasts:
// the kernel takes its time to close one while something is being removed.
func dial() (*session, error) {
	s := new(session)
	var err error
	s.Conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		s.setDeadline = c.SetDeadline
		return c.SetWriteBuffer(sendBuffer)
	}))
	return s, err
}

// explain says what was tried and what helps, in one line. Each message of a
// transaction may have an error of its own; the first tells the cause.
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
