package cli

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
	"nightporter/internal/listen"
	"nightporter/internal/privilege"
	"nightporter/internal/shell"
	"nightporter/internal/web"
)

// finding is the result of one check of the host.
type finding struct {
	what, text string
	err        error // what is wrong, and the remedy; nil: ok
}

// checkHost checks whether a daemon with this configuration can run on this host.
func (f *checkFlags) checkHost(cmd *cobra.Command, conf *config.Config, origins *config.Origins) error {
	running := portUser(cmd, conf)
	findings := []finding{checkCapabilities(conf)}
	findings = append(findings, checkInterfaces(conf)...)
	findings = append(findings, checkPorts("registration.listen", conf.Registration.Listen, running)...)
	findings = append(findings, checkPorts("http.listen", conf.HTTP.Listen, running)...)
	findings = append(findings, checkStateDir(conf.StateDir), checkGuard(conf))
	findings = append(findings, checkAddresses(conf, origins)...)
	return f.printHost(cmd, findings)
}

// portUser says that a running nightporter may use the ports. It is empty if none runs.
func portUser(cmd *cobra.Command, conf *config.Config) string {
	if conf.HTTP.WebConfig != "" {
		return "in use; with http.web_config it is unknown whether by nightporter"
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
	found := finding{what: "capabilities"}
	has, err := privilege.Raise()
	missing := neededCapabilities(conf) &^ has
	switch {
	case err != nil:
		found.err = err
	case missing != 0:
		exe, err := os.Executable()
		if err != nil {
			exe = "nightporter"
		}
		found.err = fmt.Errorf("%s missing: run this as root; the systemd unit gives them to the daemon, and without it: setcap cap_net_raw,cap_net_admin=ep %s",
			missing, shell.Quote(exe))
	default:
		found.text = neededCapabilities(conf).String()
	}
	return found
}

// checkInterfaces opens each interface like the daemon, and closes it.
func checkInterfaces(conf *config.Config) []finding {
	names, err := watchedInterfaces(conf)
	if err != nil {
		return []finding{{what: "interfaces", err: err}} // the error names the interfaces of this host
	}
	var all []finding
	for _, name := range names {
		found := finding{what: "interfaces"}
		ifi, err := lan.Open(name, slog.New(slog.DiscardHandler))
		if err == nil {
			err = ifi.Close()
		}
		found.text, found.err = name+" "+strings.Join(prefixesOf(name), " "), err
		all = append(all, found)
	}
	return all
}

// watchedInterfaces returns the names of the interfaces that the daemon would use.
func watchedInterfaces(conf *config.Config) ([]string, error) {
	if len(conf.Interfaces) > 0 {
		return conf.Interfaces, nil
	}
	name, err := lan.DefaultInterface()
	return []string{name}, err
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

// checkPorts listens briefly on the daemon's addresses.
func checkPorts(key string, addrs []string, usedBy string) []finding {
	var all []finding
	for _, addr := range addrs {
		found := finding{what: key, text: addr}
		ln, err := net.Listen("tcp", addr)
		switch {
		case err == nil:
			found.err = ln.Close()
		case usedBy != "" && errors.Is(err, syscall.EADDRINUSE):
			found.text += " (" + usedBy + ")"
		default:
			found.err = fmt.Errorf("%s: %w", addr, listen.Explain(addr, err))
			if errors.Is(err, syscall.EACCES) {
				found.err = fmt.Errorf("%w: run this as root", found.err)
			}
		}
		all = append(all, found)
	}
	return all
}

// checkStateDir checks whether this user can write to the state directory or create it.
func checkStateDir(dir string) finding {
	found := finding{what: "state_dir", text: dir}
	err := unix.Access(dir, unix.W_OK|unix.X_OK)
	if errors.Is(err, unix.ENOENT) {
		found.text += " (is created at the start)"
		parent := filepath.Dir(dir)
		for errors.Is(unix.Access(parent, unix.F_OK), unix.ENOENT) && parent != "/" {
			parent = filepath.Dir(parent)
		}
		dir, err = parent, unix.Access(parent, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		found.err = fmt.Errorf("%s: %w: run this as the daemon's user or as root", dir, err)
	}
	return found
}

func checkGuard(conf *config.Config) finding {
	found := finding{what: "nftables", text: "can be used"}
	if conf.Claim.Guard == config.GuardOff {
		found.text = "not needed (claim.guard: off)"
		return found
	}
	err := guard.Probe()
	if err != nil && conf.Claim.Guard == config.GuardAuto && conf.Claim.Mode != config.ModeBind {
		found.text = fmt.Sprintf("cannot be used, and claim.guard is auto: claims work without it (%v)", err)
		return found
	}
	found.err = err
	return found
}
