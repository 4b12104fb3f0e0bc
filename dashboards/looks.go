package main

import (
	"strconv"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// step gives values from at on a colour.
type step struct {
	at    float64
	color string
}

// steps are thresholds: base below all of them.
func steps(base string, above ...step) thresholds {
	list := []dashboard.Threshold{{Color: base}}
	for _, s := range above {
		list = append(list, dashboard.Threshold{Value: &s.at, Color: s.color})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(list)
}

// shown is how a value is written.
type shown struct{ text, color string }

// values says how the values 0, 1, 2, ... are written; those without text as
// they are.
func values(list ...shown) dashboard.ValueMapping {
	options := make(map[string]dashboard.ValueMappingResult)
	for i, s := range list {
		if s.text == "" {
			continue
		}
		index := int32(i)
		options[strconv.Itoa(i)] = dashboard.ValueMappingResult{Text: &s.text, Color: &s.color, Index: &index}
	}
	return dashboard.ValueMapping{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: options}}
}

// noNumber writes a dash where there is nothing to divide by, or no observation
// to take a quantile of.
func noNumber() dashboard.ValueMapping {
	dash := "–"
	return dashboard.ValueMapping{SpecialValueMap: &dashboard.SpecialValueMap{
		Type: dashboard.MappingTypeSpecialValue,
		Options: dashboard.DashboardSpecialValueMapOptions{
			Match:  dashboard.SpecialValueMatchNullAndNan,
			Result: dashboard.ValueMappingResult{Text: &dash},
		},
	}}
}

// fixed is the property that gives a series one colour, whatever its value.
func fixed(color string) []dashboard.DynamicConfigValue {
	return []dashboard.DynamicConfigValue{{Id: "color", Value: map[string]any{"mode": "fixed", "fixedColor": color}}}
}
