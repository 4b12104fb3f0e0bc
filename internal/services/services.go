package services

import (
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// path is the file of services(5). The host may have none.
const path = "/etc/services"

// maxFile bounds the bytes that are read of the file.
const maxFile = 1 << 20

// Names are port numbers by the name of their service, in lower case.
type Names map[string]uint16

// usual are common services that /etc/services may lack or have under another name.
var usual = Names{
	"afp": 548, "ftp": 21, "http": 80, "https": 443, "imap": 143, "imaps": 993, "jellyfin": 8096, "mqtt": 1883,
	"nfs": 2049, "plex": 32400, "rdp": 3389, "rsync": 873, "smb": 445, "ssh": 22, "telnet": 23, "vnc": 5900,
}

// Load returns the names in /etc/services of this host, and the usual ones that it
// lacks.
func Load() Names {
	names := maps.Clone(usual)
	f, err := os.Open(path)
	if err != nil {
		return names // most containers have no such file
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return names
	}
	maps.Copy(names, Parse(string(text)))
	return names
}

// Parse reads a file in the format of services(5): a name, a port with its protocol,
// and other names. A line in another form is skipped. The first port of a
// name counts.
func Parse(text string) Names {
	names := make(Names)
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		number, protocol, _ := strings.Cut(fields[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || port == 0 || protocol != "tcp" && protocol != "udp" {
			continue
		}
		for _, name := range append(fields[:1:1], fields[2:]...) {
			name = strings.ToLower(name)
			if _, known := names[name]; !known {
				names[name] = uint16(port)
			}
		}
	}
	return names
}

// Port returns an entry of a list of ports with the number in place of a name: "22"
// for "ssh", "22/tcp" for "ssh/tcp". An entry without a known name is returned as it
// is.
func (n Names) Port(entry string) string {
	name, protocol, limited := strings.Cut(entry, "/")
	port, known := n[strings.ToLower(name)]
	switch {
	case !known:
		return entry
	case limited:
		return strconv.Itoa(int(port)) + "/" + protocol
	}
	return strconv.Itoa(int(port))
}

// Sorted returns all names.
func (n Names) Sorted() []string { return slices.Sorted(maps.Keys(n)) }
