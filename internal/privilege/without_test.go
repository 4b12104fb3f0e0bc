package privilege

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// A program that is started without capabilities has none, root's as well; the
// threads of the process keep theirs.
func TestWithout(t *testing.T) {
	before, err := current()
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	err = Without(func() (err error) {
		if now, err := current(); err != nil || now != (held{}) {
			t.Errorf("on the thread: %+v, %v", now, err)
		}
		out, err = exec.Command("grep", "-E", "^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs):", "/proc/self/status").CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "CapInh:\t" + none + "\nCapPrm:\t" + none + "\nCapEff:\t" + none + "\nCapAmb:\t" + none + "\nNoNewPrivs:\t1\n"
	if got := string(out); got != want {
		t.Errorf("the program has\n%s", got)
	}
	if now, err := current(); err != nil || now != before {
		t.Errorf("the process has %+v, %v, and had %+v", now, err, before)
	}
	for deadline := time.Now().Add(10 * time.Second); before.permitted != 0; time.Sleep(time.Millisecond) {
		all, err := identities(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(all, func(id identity) bool { return id.CapPrm == none }) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a thread is left without capabilities: %+v", all)
		}
	}
}
