package labdaemon

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/wait"
)

// Register sends a registration from a host as an existing client does: the
// JSON in one piece, without closing, and then it reads the answer.
func (d *Daemon) Register(ctx context.Context, from *lab.Host, body string) (answer string, err error) {
	return d.RegisterIn(ctx, from, d.host.Addr4(), []string{body}, 0)
}

// RegisterIn sends a registration to one of the porter's addresses in pieces,
// with a pause between them.
func (d *Daemon) RegisterIn(ctx context.Context, from *lab.Host, to netip.Addr, pieces []string, pause time.Duration) (string, error) {
	conn, err := from.Dial(ctx, "tcp", netip.AddrPortFrom(to, RegistrationPort).String())
	if err != nil {
		return "", fmt.Errorf("register: %w", err)
	}
	defer conn.Close()
	return converse(ctx, conn, pieces, pause)
}

func converse(ctx context.Context, conn net.Conn, pieces []string, pause time.Duration) (string, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	for i, p := range pieces {
		if i > 0 && !wait.For(ctx, pause) {
			return "", ctx.Err()
		}
		if _, err := io.WriteString(conn, p); err != nil {
			return "", err
		}
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}
