package lab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/lab"
)

// exitStatus is what helper processes end with to show that it arrives.
const exitStatus = 7

// child is the test binary as a helper process. Each ends by itself in the
// end, if no test ends it.
func child(mode string) int {
	switch mode {
	case "addrs": // print the interface's addresses, then stay
		ifi, err := net.InterfaceByName(lab.Interface)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		addrs, err := ifi.Addrs()
		fmt.Println(addrs, err)
		time.Sleep(patience)
	case "lan": // build a LAN with a process in it, print the process, then stay
		return lanWithProcess()
	case "exit":
		return exitStatus
	case "signal":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		fmt.Println("ready", os.Getuid())
		select {
		case <-ctx.Done():
			return exitStatus
		case <-time.After(patience):
		}
	}
	return 1
}

func lanWithProcess() int {
	l, err := lab.New(context.Background())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	cmd := helper(context.Background(), "addrs")
	if err := l.Porter().Start(cmd); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(cmd.Process.Pid)
	time.Sleep(patience)
	return 1
}

// helper returns a command that runs this binary in a mode of child.
func helper(ctx context.Context, mode string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), childMode+"="+mode)
	cmd.Stderr = os.Stderr
	return cmd
}

// read returns the next n bytes, or fewer where the stream ends before.
func read(t *testing.T, r io.Reader, n int) string {
	t.Helper()
	buf := make([]byte, n)
	n, err := io.ReadFull(r, buf)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return string(buf[:n])
}
