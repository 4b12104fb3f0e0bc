package main

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

const (
	tag         = "nightporter"
	overviewUID = "nightporter-overview"
	machineUID  = "nightporter-machine"
	porterUID   = "nightporter-porter"
)

// siblings leads to the other dashboards with the tag, with the time and the
// variables that are chosen.
func siblings() link {
	return dashboard.NewDashboardLinkBuilder("nightporter").
		Type(dashboard.DashboardLinkTypeDashboards).
		Tags([]string{tag}).
		IncludeVars(true).
		KeepTime(true)
}

// toMachine leads from a series to the dashboard of its machine.
func toMachine() link {
	return seriesLink("Open the machine", machineUID, "instance", "machine")
}

// toPorter leads from a series to the dashboard of its porter.
func toPorter() link {
	return seriesLink("Open the porter", porterUID, "instance")
}

func seriesLink(title, uid string, labels ...string) link {
	return dashboard.NewDashboardLinkBuilder(title).
		Type(dashboard.DashboardLinkTypeLink).
		Url(linkTo(uid, "__field.labels", labels...))
}

// toPage leads from a series to its porter's own page.
func toPage() link {
	return dashboard.NewDashboardLinkBuilder(openPage).
		Type(dashboard.DashboardLinkTypeLink).
		Url(pageOf("__field.labels")).
		TargetBlank(true)
}

const openPage = "Open the porter's page"

// pageOf is the address of a porter's page. Prometheus scrapes it at the same one.
func pageOf(from string) string { return "http://${" + from + ".instance}/" }

// rowLink leads from a row of a table to a dashboard, as the property of a field.
func rowLink(title, uid string, columns ...string) dashboard.DynamicConfigValue {
	return dashboard.DynamicConfigValue{Id: "links", Value: []any{
		map[string]any{"title": title, "url": linkTo(uid, "__data.fields", columns...)},
	}}
}

// pageLinks lead from a row of a table to its porter's page.
func pageLinks() []dashboard.DynamicConfigValue {
	return []dashboard.DynamicConfigValue{{Id: "links", Value: []any{pageLink()}}}
}

func pageLink() map[string]any {
	return map[string]any{"title": openPage, "url": pageOf("__data.fields"), "targetBlank": true}
}

// linkTo is the address of a dashboard with the same data source, job and time,
// and with each of the variables set to what from has under its name.
func linkTo(uid, from string, variables ...string) string {
	url := "/d/" + uid + "?${datasource:queryparam}&${job:queryparam}"
	for _, v := range variables {
		url += fmt.Sprintf("&var-%s=${%s.%s:percentencode}", v, from, v)
	}
	return url + "&${__url_time_range}"
}
