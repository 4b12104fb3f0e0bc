package main

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// states are those of a machine, in the order of a sleep and a wake: its number on a
// timeline is its place here.
func states() []shown {
	return []shown{
		1: {"awake", "green"},
		2: {"settling", "light-purple"},
		3: {"asleep", "blue"},
		4: {"waking", "orange"},
		5: {"arriving", "yellow"},
	}
}

// stateNumber is an expression for the number of each machine's state. Of a
// machine's series one is 1 and the others are 0, so the sum is its number.
func stateNumber(machines string) string {
	var terms []string
	for i, s := range states() {
		if s.text != "" {
			terms = append(terms, fmt.Sprintf(`%d * nightporter_machine_state{%s, state="%s"}`, i, machines, s.text))
		}
	}
	// A machine that is paused counts as awake, which is 1.
	terms = append(terms, fmt.Sprintf(`%d * nightporter_machine_paused{%s}`, len(states())-1, machines))
	return "sum by (instance, machine) (" + strings.Join(terms, " or ") + ")"
}

func stateNames() dashboard.ValueMapping {
	return values(append(states(), shown{"paused", "text"})...)
}
