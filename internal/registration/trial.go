package registration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"nightporter/internal/ratelimit"
)

// checkedAnswer begins the answer to a trial that would have been accepted. It differs from
// OK., so that no client takes the machine for registered.
const checkedAnswer = "checked: "

// Acceptable is the error that a Handler returns for a trial that would have been accepted.
type Acceptable struct {
	Name    string   // that the machine would get
	Renamed string   // why it would not get the requested name; empty: it would
	Wait    []string // addresses that would wait, such as "192.168.1.6: no host answers for it"
}

// Error returns the answer.
func (a *Acceptable) Error() string {
	text := fmt.Sprintf("%sthe porter would accept it as %q", checkedAnswer, a.Name)
	if a.Renamed != "" {
		text += ", since " + a.Renamed
	}
	if len(a.Wait) > 0 {
		text += "; would wait: " + strings.Join(a.Wait, "; ")
	}
	return text
}

// concludeTrial logs the result of a trial, and returns the answer. A trial is not counted.
func (s *Server) concludeTrial(ctx context.Context, req Request, peer string, source ratelimit.Source, err error) string {
	var would *Acceptable
	text := ""
	if errors.As(err, &would) {
		text = oneLine(would.Error())
	} else {
		_, text = classify(err, ctx.Err() != nil)
	}
	level := slog.LevelDebug
	if s.sourceLog.Take(source) == 0 && s.refusalLog.Allow() {
		level = slog.LevelInfo
	}
	s.log.Log(ctx, level, "registration checked", "event", "registration_checked", "peer", peer, "mac", req.MAC.String(), "answer", text)
	return text
}

// Try sends w to the porter at addr as a trial, and returns the answer. The error is a
// *Rejection if the porter would refuse w.
func Try(ctx context.Context, addr string, w Wire) (string, error) {
	w.Trial = true
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	var r *Rejection
	err = exchange(ctx, conn, w)
	switch {
	case err == nil:
		return "", errors.New("the porter is older than this command: it has registered the machine, and takes it for awake again later")
	case errors.As(err, &r) && strings.HasPrefix(r.Answer, checkedAnswer):
		return strings.TrimPrefix(r.Answer, checkedAnswer), nil
	}
	return "", err
}
