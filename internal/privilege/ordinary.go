package privilege

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// preferred is the user that a root becomes, where the host has it.
const preferred = "nightporter"

// Unused is what a root becomes on other hosts: a number that no user has.
// Debian reserves 65000 to 65533, and systemd gives out nothing above 65519 but
// 65534 (the user nobody). It is not used, because other services run as that user too:
// they could read the journal and stop the daemon.
const Unused = 65521

// ordinary returns the user to become if the daemon was started as root without a user.
// It returns the present user if that is not root, or cannot become another user.
func ordinary() User {
	now := runner()
	if now.UID != 0 {
		return now
	}
	u, err := Find(preferred)
	if err != nil || u.UID == 0 {
		u = User{Name: nameOf(Unused), UID: Unused, GID: Unused}
	}
	if !reachable(u) {
		return now
	}
	return u
}

// reachable reports whether a root can become u. In a user namespace that an
// ordinary user has made it cannot: that one has no other user. In a container it
// may lack the capabilities.
func reachable(u User) bool {
	const need = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	now, err := current()
	if err != nil || now.effective&need != need {
		return false
	}
	deny, err := os.ReadFile("/proc/self/setgroups") // user_namespaces(7)
	if err == nil && strings.TrimSpace(string(deny)) == "deny" {
		return false
	}
	return mapped("/proc/self/uid_map", u.UID) && mapped("/proc/self/gid_map", u.GID)
}

// mapped reports whether an id means something in this user namespace. Each line of
// the file is the first id inside, the first one outside, and how many there are.
func mapped(file string, id int) bool {
	b, err := os.ReadFile(file)
	if err != nil {
		return true // this kernel has no user namespaces
	}
	for line := range strings.Lines(string(b)) {
		var inside, outside, count int64
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && int64(id) >= inside && int64(id) < inside+count {
			return true
		}
	}
	return false
}
