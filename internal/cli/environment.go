package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// unitEnvironment reads the EnvironmentFile of the systemd unit and returns it as
// "NAME=value". Unless explicit is set, a missing file is no error.
func unitEnvironment(path string, explicit bool) ([]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !explicit {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	vars, err := parseEnvironment(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return vars, nil
}

// parseEnvironment reads assignments like systemd (systemd.exec(5), EnvironmentFile=), except
// values of several lines. A line that systemd would ignore is an error.
func parseEnvironment(text string) ([]string, error) {
	var vars []string
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t\x00") {
			return nil, fmt.Errorf("line %d: expected NAME=value", number)
		}
		value, ok = unquote(strings.TrimSpace(value))
		if !ok {
			return nil, fmt.Errorf("line %d: %s: expected a value that ends on its line, quotes included", number, name)
		}
		vars = append(vars, name+"="+value)
	}
	return vars, nil
}

// unquote removes quotes and backslashes from a value. It reports false if a quote is not
// closed or the value continues in the next line.
func unquote(value string) (string, bool) {
	var out strings.Builder
	var quote rune
	escaped := false
	for _, r := range value {
		switch {
		case escaped:
			if quote == '"' && !strings.ContainsRune("\"\\$`", r) {
				out.WriteByte('\\') // in double quotes, a backslash before other characters stays
			}
			out.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped = true
		case r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		default:
			out.WriteRune(r)
		}
	}
	return out.String(), quote == 0 && !escaped
}
