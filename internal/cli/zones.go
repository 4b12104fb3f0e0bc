package cli

// The container image has no zone files, and TZ names the zone of wake.quiet_hours.
import _ "time/tzdata"
