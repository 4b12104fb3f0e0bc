package main

import (
	"strings"
	"testing"
)

// unpacked returns a directory with the files of the .deb.
func unpacked(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	output(t, "dpkg-deb", "--extract", built(t, older, ".deb"), dir)
	return dir
}

// The completion of zsh completes commands, in a shell on a terminal (zpty) that reads the
// folder of the package. Control-X prints the command line.
func TestZshCompletion(t *testing.T) {
	got := output(t, "timeout", "20", program(t, "zsh"), "-fc", `
export HOME="$0" PATH="$0/usr/bin:$PATH" TERM=dumb
zmodload zsh/zpty
zpty shell zsh -fi
zpty -w shell "fpath=(\$HOME/usr/share/zsh/vendor-completions \$fpath)
autoload -U compinit && compinit -u -D
typed() { print -r -- \"typed: \$BUFFER.\" }
zle -N typed && bindkey '^X' typed
print rea''dy"
zpty -r -m shell line '*ready*' || exit 1
zpty -w -n shell $'nightporter stat\t\x18'
zpty -r -m shell line '*typed: *.*' || exit 1
print -r -- "$line"
zpty -d shell`, unpacked(t))
	if !strings.Contains(got, "typed: nightporter status .") {
		t.Errorf("completed is %q", got)
	}
}

// The completion of fish completes commands, read from the folder of the package.
func TestFishCompletion(t *testing.T) {
	dir := unpacked(t)
	got := output(t, "env", "HOME="+dir, "PATH="+dir+"/usr/bin:/usr/bin:/bin", "XDG_DATA_DIRS="+dir+"/usr/share",
		program(t, "fish"), "--command", `complete --do-complete "nightporter stat"`)
	if command, about, _ := strings.Cut(strings.TrimSpace(got), "\t"); command != "status" || about == "" {
		t.Errorf("completed is %q", got)
	}
}
