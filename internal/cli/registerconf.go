package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"nightporter/internal/config"
)

// registerConfPath is the file with the settings of nightporter-register.py.
const registerConfPath = "/etc/nightporter/register.conf"

// registerKeys are the keys of that file. Flags have the same names with hyphens.
var registerKeys = []string{
	"to", "mac", "wake_mac", "name", "port", "monitor", "token", "password", "wake_from",
	"idle_watts", "sleep_watts", "timeout", "retries",
}

// confSetting is one setting of the file; line is that of its key.
type confSetting struct {
	key, value string
	line       int
}

// readSettings sets the flags that the command line does not give from the file.
func (f *registerFlags) readSettings(flags *pflag.FlagSet) error {
	text, err := os.ReadFile(f.config)
	if errors.Is(err, fs.ErrNotExist) && !flags.Changed("config") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	settings, err := parseRegisterConf(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", f.config, err)
	}
	f.settings = f.unset(settings, flags)
	for _, s := range f.settings {
		if err := s.set(flags); err != nil {
			return fmt.Errorf("%s: line %d: %w", f.config, s.line, err)
		}
	}
	return nil
}

// unset returns the settings that no flag overrides. --port, --monitor and --known each
// override port and monitor, and monitor overrides port.
func (f *registerFlags) unset(settings []confSetting, flags *pflag.FlagSet) []confSetting {
	given := func(names ...string) bool { return slices.ContainsFunc(names, flags.Changed) }
	has := func(key string) bool {
		return slices.ContainsFunc(settings, func(s confSetting) bool { return s.key == key && s.value != "" })
	}
	left := slices.Clone(settings)
	return slices.DeleteFunc(left, func(s confSetting) bool {
		switch s.key {
		case "monitor":
			return s.value == "" || given("monitor", "port", "known")
		case "port":
			return s.value == "" || given("monitor", "port", "known") || has("monitor")
		case "token":
			return s.value == "" || given("token", "token-file")
		}
		return s.value == "" || given(s.flag())
	})
}

func (s confSetting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }

// set sets the flag of a setting.
func (s confSetting) set(flags *pflag.FlagSet) error {
	values := []string{s.value}
	switch s.key {
	case "monitor":
		values = strings.Fields(s.value)
	case "wake_from":
		values = []string{strings.Join(strings.FieldsFunc(s.value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }), ",")}
	case "timeout":
		if _, err := strconv.ParseFloat(s.value, 64); err == nil {
			values[0] += "s"
		}
	}
	for _, v := range values {
		if err := flags.Set(s.flag(), v); err != nil {
			return fmt.Errorf("%s: found %q, expected %s", s.key, v, expectedOf(flags.Lookup(s.flag())))
		}
	}
	return nil
}

// parseRegisterConf reads the section [register] as Python's configparser does: "key =
// value" or "key: value", "#" and ";" before comments, and indented lines that continue a
// value.
func parseRegisterConf(text string) ([]confSetting, error) {
	var all []confSetting
	section, number := "", 0
	open := false // an indented line continues the last setting
	for line := range strings.Lines(text) {
		number++
		words := strings.TrimSpace(line)
		switch {
		case words == "" || words[0] == '#' || words[0] == ';':
			continue
		case open && (line[0] == ' ' || line[0] == '\t'):
			last := &all[len(all)-1]
			last.value = strings.TrimSpace(last.value + "\n" + words)
			continue
		case words[0] == '[':
			section, open = strings.Trim(words, "[]"), false
			continue
		case section == "":
			return nil, fmt.Errorf("line %d: expected [register] before the first setting", number)
		case section != "register":
			continue
		}
		s, err := parseSetting(words, number)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(other confSetting) bool { return other.key == s.key }) {
			return nil, fmt.Errorf("line %d: %s: found twice, expected once", number, s.key)
		}
		all, open = append(all, s), true
	}
	return all, nil
}

func parseSetting(line string, number int) (confSetting, error) {
	at := strings.IndexAny(line, "=:")
	if at < 0 {
		return confSetting{}, fmt.Errorf("line %d: expected KEY = VALUE", number)
	}
	key := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(line[:at])), "-", "_")
	if !slices.Contains(registerKeys, key) {
		err := fmt.Errorf("line %d: unknown key %q", number, printable(key))
		if meant := config.Suggest(key, registerKeys); meant != "" {
			err = fmt.Errorf("%w: did you mean %s?", err, meant)
		}
		return confSetting{}, err
	}
	return confSetting{key, strings.TrimSpace(line[at+1:]), number}, nil
}
