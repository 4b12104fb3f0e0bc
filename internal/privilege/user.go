package privilege

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// User is a user of this host.
type User struct {
	Name string
	UID  int
	GID  int // the primary group
}

// maxName is LOGIN_NAME_MAX of limits.h without the final zero.
const maxName = 255

// Find returns the user of that name. "" is whom the process becomes where nothing
// is said of that: a root becomes an unprivileged user if it can, any other user
// stays.
func Find(name string) (User, error) {
	if name == "" {
		return ordinary(), nil
	}
	if len(name) > maxName {
		return User{}, fmt.Errorf("found a name of %d bytes, expected at most %d", len(name), maxName)
	}
	entry, err := user.Lookup(name)
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		return User{}, fmt.Errorf("found %q, expected the name of a user of this host", name)
	}
	if err != nil {
		return User{}, fmt.Errorf("look up %q: %w", name, err)
	}
	uid, err := strconv.Atoi(entry.Uid)
	if err != nil {
		return User{}, fmt.Errorf("uid of %q: %w", name, err)
	}
	gid, err := strconv.Atoi(entry.Gid)
	if err != nil {
		return User{}, fmt.Errorf("gid of %q: %w", name, err)
	}
	return User{Name: name, UID: uid, GID: gid}, nil
}

func runner() User {
	uid := os.Geteuid()
	return User{Name: nameOf(uid), UID: uid, GID: os.Getegid()}
}

// nameOf returns the name of the user with that number, or the number.
func nameOf(uid int) string {
	if entry, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return entry.Username
	}
	return "uid " + strconv.Itoa(uid)
}

// Become makes the process run as u, on all threads, for good, and with no
// capabilities outside of keep. From then on nothing that it could execute gains
// any (no_new_privs), and the bounding set has none outside of Working.
//
// Only root can become another user.
func Become(u User, keep Set) error {
	if err := bound(Working); err != nil {
		return err
	}
	if now := runner(); u.UID != now.UID {
		if now.UID != 0 {
			return fmt.Errorf("found %q, expected none or %q: only root can become another user", u.Name, now.Name)
		}
		if err := change(u); err != nil {
			return err
		}
	}
	if _, err := Keep(keep); err != nil {
		return err
	}
	if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}

// change takes on the identity of u. The capabilities stay permitted, where the
// kernel would otherwise take them all away with the uid.
func change(u User) error {
	if err := prctl(unix.PR_SET_KEEPCAPS, 1); err != nil {
		return fmt.Errorf("keep the capabilities over the change of user: %w", err)
	}
	// The groups first: without root's uid they could not be given up. The
	// syscall package changes all threads, with cgo as well.
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("leave root's groups: %w", err)
	}
	if err := syscall.Setresgid(u.GID, u.GID, u.GID); err != nil {
		return fmt.Errorf("change to group %d: %w", u.GID, err)
	}
	if err := syscall.Setresuid(u.UID, u.UID, u.UID); err != nil {
		return fmt.Errorf("change to user %q (uid %d): %w", u.Name, u.UID, err)
	}
	if err := prctl(unix.PR_SET_KEEPCAPS, 0); err != nil {
		return fmt.Errorf("keep no capabilities over a next change of user: %w", err)
	}
	return nil
}
