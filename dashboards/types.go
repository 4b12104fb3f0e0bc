package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// The parts of a dashboard.
type (
	panel      = cog.Builder[dashboard.Panel]
	variable   = cog.Builder[dashboard.VariableModel]
	link       = cog.Builder[dashboard.DashboardLink]
	thresholds = cog.Builder[dashboard.ThresholdsConfig]
)
