package main

// head is the beginning of the page, before its tables.
const head = `# Configuration

<!-- Written by internal/configdoc from the table of keys: change that, and run make docs. -->

Only the [machines](#machines) that do not register must be configured. ` + "`nightporter check`" + ` checks
the configuration and prints the values in effect; ` + "`nightporter check --changed`" + ` prints only
what differs from the defaults.

| from | form | wins over |
| --- | --- | --- |
| file | ` + "`/etc/nightporter/config.yaml`, or `--config FILE`" + ` | the defaults |
| environment | ` + "`NIGHTPORTER_WAKE__ATTEMPTS=3`" + `: two underscores between levels, commas between the entries of a list | the file |
| flag | ` + "`--wake.attempts 3`" + ` | the environment |

* ` + "`machines`" + ` and keys marked **[file only]** can only be set in the file. Secrets are not for the
  command line: [where they belong](install.md#user-privileges-and-secrets).
* ` + "`sudo systemctl reload nightporter`" + ` (or SIGHUP) reads the file again, without dropping a claim. A
  file with an error changes nothing. A key marked **[restart]** keeps its old value until a
  restart.
* Durations are written with their unit: ` + "`10s`, `5m`, `1h30m`" + `. A single value is a list of
  one: ` + "`interfaces: eth0`" + `. An unknown key is an error, with a suggestion.
* [config.example.yaml](../config.example.yaml) has the same keys, as a file to start from.

**The five that people need first:** ` + "`machines`, `wake.local`, `notify.urls`, `wake.timeout`" + ` with
` + "`wake.attempts`, and `interfaces`" + `. All others are for special cases.
`

// machines is the part about machines; its argument is the example.
const machines = `
## machines

Machines that are known without registering, and settings of machines that register. The short form
is enough for most:

` + "```yaml" + `
machines:
  - {name: nas, mac: "d8:cb:8a:39:be:a1", ip: 192.168.1.20, ports: [ssh, smb], agentless: true}
` + "```" + `

` + "`ip`" + ` may be a list. ` + "`ports`" + ` are numbers, names of /etc/services or ` + "`\"51820/udp\"`, `icmp`" + `; a
bare number or name means TCP and UDP. The long form, with every setting of a machine:

` + "```yaml" + `
%s` + "```" + `

More on [services with settings of their own](registration.md#services-with-settings-of-their-own),
[guests](registration.md#guests) and [other ways to wake](wake-on-lan.md#other-ways-to-wake).
`
