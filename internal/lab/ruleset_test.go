package lab_test

import (
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
)

func TestRuleset(t *testing.T) {
	t.Parallel()
	h := newLAN(t).Porter()
	if all, err := h.Ruleset(); err != nil || len(all) != 0 {
		t.Fatalf("at first: %v, %v", all, err)
	}
	key := []byte{10, 77, 0, 20}
	set := &nftables.Set{Table: &nftables.Table{Name: "filter", Family: nftables.TableFamilyINet}, ID: 1, Name: "known", KeyType: nftables.TypeIPAddr}
	change := func(queue func(*nftables.Conn) error) map[string]string {
		t.Helper()
		err := h.Do(func() error {
			conn, err := nftables.New()
			if err == nil {
				err = queue(conn)
			}
			if err == nil {
				err = conn.Flush()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		all, err := h.Ruleset()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	empty := change(func(c *nftables.Conn) error {
		c.AddTable(set.Table)
		c.AddTable(&nftables.Table{Name: "filter", Family: nftables.TableFamilyIPv6})
		return c.AddSet(set, nil)
	})
	if got := slices.Sorted(maps.Keys(empty)); !slices.Equal(got, []string{"inet filter", "ip6 filter"}) {
		t.Errorf("tables %q", got)
	}
	full := change(func(c *nftables.Conn) error { return c.SetAddElements(set, []nftables.SetElement{{Key: key}}) })
	if strings.Contains(empty["inet filter"], hex.EncodeToString(key)) || !strings.Contains(full["inet filter"], hex.EncodeToString(key)) {
		t.Errorf("an element more changes\n%s\nto\n%s", empty["inet filter"], full["inet filter"])
	}
	if full["ip6 filter"] != empty["ip6 filter"] {
		t.Error("another table has changed")
	}
	if again := change(func(*nftables.Conn) error { return nil }); !maps.Equal(again, full) {
		t.Error("nothing was done, and the ruleset has changed")
	}
}
