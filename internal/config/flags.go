package config

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// AddFlags adds one flag for each key that fits on a command line, named like
// the key. Values are checked by Load.
func AddFlags(fs *pflag.FlagSet) {
	for _, k := range keys() {
		if k.noun == "" {
			continue
		}
		_, isList := k.def.([]any)
		v := &flagValue{text: flagText(k.def), noun: k.noun, list: isList}
		f := fs.VarPF(v, k.path, "", k.help)
		if _, isBool := k.def.(bool); isBool {
			f.NoOptDefVal = "true"
		}
		f.Hidden = k.secret != notSecret // what is unseen is there for Load to say where the value belongs
	}
}

// flagText writes a default as the flag would take it.
func flagText(def any) string {
	list, ok := def.([]any)
	if !ok {
		return fmt.Sprint(def)
	}
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = fmt.Sprint(w)
	}
	return strings.Join(words, ",")
}

// flagValue keeps the text of a flag. It accepts everything, so that a bad
// value is reported with all others, and in the same words.
type flagValue struct {
	text string
	noun string
	list bool // given again, a flag adds to the list
	set  bool
}

func (v *flagValue) String() string { return v.text }

// Type returns what the help calls a value. The name "bool" makes the help show none.
func (v *flagValue) Type() string {
	if v.noun == "bool" {
		return v.noun
	}
	return strings.ToUpper(v.noun)
}

func (v *flagValue) Set(s string) error {
	if v.list && v.set {
		s = v.text + "," + s
	}
	v.text, v.set = s, true
	return nil
}
