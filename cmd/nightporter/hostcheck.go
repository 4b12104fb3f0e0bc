package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nightporter/internal/config"
	"nightporter/internal/guard"
	"nightporter/internal/lan"
	"nightporter/internal/privilege"
	"nightporter/internal/shell"
	"nightporter/internal/web"
)

// finding is what one look at the host has shown.
type finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Text string `json:"text"` // if it is wrong: why, and what to do
}

// found says how it is, or what is wrong with it.
func found(what, text string, err error) finding {
	if err != nil {
		return finding{What: what, Text: err.Error()}
	}
	return finding{What: what, OK: true, Text: text}
}

// lookAtHost finds out whether a daemon with this configuration can work on this host.
func lookAtHost(cmd *cobra.Command, conf *config.Config) []finding {
	running := usedBy(cmd, conf)
	all := []finding{checkCapabilities(conf)}
	all = append(all, checkInterfaces(conf)...)
	all = append(all, checkPorts("registration.listen", conf.Registration.Listen, running)...)
	all = append(all, checkPorts("http.listen", conf.HTTP.Listen, running)...)
	return append(all, checkStateDir(conf.StateDir), checkGuard(conf))
}

// tellHost prints what was found, and last whether all is well.
func tellHost(cmd *cobra.Command, all []finding) error {
	var rows [][]string
	wrong := 0
	for _, f := range all {
		mark := "ok"
		if !f.OK {
			mark = "WRONG"
			wrong++
		}
		rows = append(rows, []string{mark, f.What, f.Text})
	}
	if err := writeRows(cmd.OutOrStdout(), rows, func(_ int, _, padded string) string { return padded }); err != nil {
		return err
	}
	if wrong > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "this host: %d of %d are WRONG\n", wrong, len(all))
		return exitCode(1)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "this host: OK")
	return nil
}

// usedBy says that the porter itself may have its ports, or nothing.
func usedBy(cmd *cobra.Command, conf *config.Config) string {
	if conf.HTTP.WebConfig != "" {
		return "in use; with http.web_config it does not show whether by nightporter"
	}
	for _, addr := range conf.HTTP.Listen {
		if strings.HasPrefix(addr, ":") {
			addr = "localhost" + addr
		}
		client, err := web.NewClient(addr)
		if err != nil {
			continue
		}
		_, err = client.Status(cmd.Context())
		client.Close()
		if err == nil {
			return "nightporter is running"
		}
	}
	return ""
}

func checkCapabilities(conf *config.Config) finding {
	has, err := privilege.Current()
	if missing := needed(conf) &^ has; err == nil && missing != 0 {
		exe, exeErr := os.Executable()
		if exeErr != nil {
			exe = "nightporter"
		}
		err = fmt.Errorf("%s missing: run this as root; the systemd unit gives them to the daemon, and without it: setcap cap_net_raw,cap_net_admin=ep %s",
			missing, shell.Quote(exe))
	}
	return found("capabilities", needed(conf).String(), err)
}

// checkInterfaces opens each interface as the daemon would, and closes it again.
func checkInterfaces(conf *config.Config) []finding {
	names := conf.Interfaces
	if len(names) == 0 {
		name, err := lan.DefaultInterface()
		if err != nil {
			return []finding{found("interfaces", "", err)} // which names those that are there
		}
		names = []string{name}
	}
	var all []finding
	for _, name := range names {
		ifi, err := lan.Open(name, slog.New(slog.DiscardHandler))
		if err == nil {
			err = ifi.Close()
		}
		all = append(all, found("interfaces", name+" "+strings.Join(prefixesOf(name), " "), err))
	}
	return all
}

// prefixesOf returns the addresses of an interface, such as "192.168.1.2/24".
func prefixesOf(name string) []string {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil
	}
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return all
}

// checkPorts listens for a moment where the daemon would.
func checkPorts(key string, addrs []string, usedBy string) []finding {
	var all []finding
	for _, addr := range addrs {
		text := addr
		ln, err := net.Listen("tcp", addr)
		switch {
		case err == nil:
			err = ln.Close()
		case usedBy != "" && errors.Is(err, syscall.EADDRINUSE):
			text, err = addr+" ("+usedBy+")", nil
		default:
			err = portError(addr, err)
		}
		all = append(all, found(key, text, err))
	}
	return all
}

func portError(addr string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	_, port, _ := net.SplitHostPort(addr) // the configuration has only good ones
	switch errno {
	case syscall.EADDRINUSE:
		return fmt.Errorf("%s: %w: `ss -ltnp 'sport = :%s'` shows by what; choose another port, or stop that", addr, err, port)
	case syscall.EACCES:
		return fmt.Errorf("%s: %w: a port below 1024 needs CAP_NET_BIND_SERVICE: run this as root", addr, err)
	}
	return fmt.Errorf("%s: %w", addr, err)
}

// checkStateDir looks whether this user can write to the state directory, or make it.
func checkStateDir(dir string) finding {
	text := dir
	err := unix.Access(dir, unix.W_OK|unix.X_OK)
	if errors.Is(err, unix.ENOENT) {
		text += " (is made at the start)"
		parent := filepath.Dir(dir)
		for errors.Is(unix.Access(parent, unix.F_OK), unix.ENOENT) && parent != "/" {
			parent = filepath.Dir(parent)
		}
		dir, err = parent, unix.Access(parent, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: run this as the daemon's user or as root", dir, err)
	}
	return found("state_dir", text, err)
}

func checkGuard(conf *config.Config) finding {
	if conf.Claim.Guard == config.GuardOff {
		return found("nftables", "not needed (claim.guard: off)", nil)
	}
	err := guard.Probe()
	if err != nil && conf.Claim.Guard == config.GuardAuto && conf.Claim.Mode != config.ModeBind {
		return found("nftables", fmt.Sprintf("cannot be used, and claim.guard is auto: claims work without it (%v)", err), nil)
	}
	return found("nftables", "can be used", err)
}
