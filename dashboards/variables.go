package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// datasource is the Prometheus that the variable of this name chooses.
func datasource() common.DataSourceRef {
	kind, uid := "prometheus", "$datasource"
	return common.DataSourceRef{Type: &kind, Uid: &uid}
}

func datasourceVariable() variable {
	return dashboard.NewDatasourceVariableBuilder("datasource").
		Label("Data source").
		Description("The Prometheus that scrapes the porters.").
		Type("prometheus")
}

// porterVariables choose porters. What there is to choose from follows the time
// shown, so that a porter that is gone is found in its own time.
func porterVariables() []variable {
	return []variable{
		datasourceVariable(),
		several("job", "Job", "The scrape job of the porters.",
			"label_values(nightporter_build_info, job)"),
		several("instance", "Porter", "The porters, by the address that is scraped.",
			`label_values(nightporter_build_info{job=~"$job"}, instance)`),
	}
}

const machineNames = `label_values(nightporter_machine_info{job=~"$job", instance=~"$instance"}, machine)`

func machinesVariable() variable {
	return several("machine", "Machine", "The machines of these porters.", machineNames)
}

func machineVariable() variable {
	return labelVariable("machine", "Machine",
		"One machine. Choose its porter too if several porters have a machine of this name.", machineNames)
}

// several is a variable with any number of values, at first with all of them.
func several(name, label, description, values string) variable {
	all, text := "$__all", "All"
	return labelVariable(name, label, description, values).
		Multi(true).
		IncludeAll(true).
		AllValue(".+").
		Current(dashboard.VariableOption{
			Text:  dashboard.StringOrArrayOfString{String: &text},
			Value: dashboard.StringOrArrayOfString{String: &all},
		})
}

func labelVariable(name, label, description, values string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).
		Label(label).
		Description(description).
		Datasource(datasource()).
		Query(dashboard.StringOrMap{String: &values}).
		Definition(values).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortNaturalAsc)
}

func text(name, label, description, value string) variable {
	return dashboard.NewTextBoxVariableBuilder(name).
		Label(label).
		Description(description).
		DefaultValue(dashboard.StringOrMap{String: &value}).
		Current(dashboard.VariableOption{
			Text:  dashboard.StringOrArrayOfString{String: &value},
			Value: dashboard.StringOrArrayOfString{String: &value},
		})
}
