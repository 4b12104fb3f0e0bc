package listen_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"nightporter/internal/listen"
)

// The error names neither the address, which the caller does, nor a system call.
func TestExplain(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	_, err = net.Listen("tcp", addr)
	want := "address already in use: `ss -ltnp 'sport = :" + port + "'` shows by what; choose another port, or stop that"
	if got := listen.Explain(addr, err); got.Error() != want || !errors.Is(got, syscall.EADDRINUSE) {
		t.Errorf("%v is explained as %v", err, got)
	}
	denied := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}
	if got := listen.Explain(":80", denied); got.Error() != "permission denied: a port below 1024 needs CAP_NET_BIND_SERVICE" {
		t.Errorf("%v is explained as %v", denied, got)
	}
	_, err = net.Listen("tcp", "192.0.2.1:80")
	if got := listen.Explain("192.0.2.1:80", err); strings.Contains(got.Error(), "bind") || !errors.Is(got, syscall.EADDRNOTAVAIL) {
		t.Errorf("%v is explained as %v", err, got)
	}
	other := errors.New("no such host")
	if got := listen.Explain("nowhere:80", other); got != other {
		t.Errorf("%v is explained as %v", other, got)
	}
}
