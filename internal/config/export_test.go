package config

// Reveal is YAML with the secrets in it.
func (c *Config) Reveal() ([]byte, error) { return c.render(true, func(key) bool { return true }) }

// Distance is tested by itself.
var Distance = distance
