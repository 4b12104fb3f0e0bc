package guard

import (
	"errors"

	"github.com/google/nftables"
)

// Probe reports whether nftables can be used here. It changes nothing.
func Probe() error {
	g := &Guard{dial: dial}
	err := g.transact(func(conn *nftables.Conn) error {
		_, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
		return err
	})
	if err != nil {
		err = explain(err)
	}
	return errors.Join(err, g.disconnect())
}
