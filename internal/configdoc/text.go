package main

// head is what the page says before its tables.
const head = `# Configuration

<!-- Written by internal/configdoc from the table of keys: change that, and run make docs. -->

Nothing has to be configured but the [machines](#machines) that do not register. ` + "`nightporter check`" + `
says whether the configuration is right, and what then holds; ` + "`nightporter check --changed`" + ` prints
only what differs from the defaults.

| from | form | wins over |
| --- | --- | --- |
| file | ` + "`/etc/nightporter/config.yaml`, or `--config FILE`" + ` | the defaults |
| environment | ` + "`NIGHTPORTER_WAKE__ATTEMPTS=3`" + `: two underscores between levels, commas between the entries of a list | the file |
| flag | ` + "`--wake.attempts 3`" + ` | the environment |

* Only the file can hold ` + "`machines`" + ` and what is marked **[file only]**. Secrets are not for the
  command line: [where they belong](install.md#user-privileges-and-secrets).
* ` + "`sudo systemctl reload nightporter`" + ` (or SIGHUP) reads the file again, without dropping a claim. A
  bad file changes nothing. What is marked **[restart]** keeps its old value until a restart.
* Durations are written with their unit: ` + "`10s`, `5m`, `1h30m`" + `. A single value is taken for a list of
  one: ` + "`interfaces: eth0`" + `. An unknown key is an error, with a suggestion.
* [config.example.yaml](../config.example.yaml) has the same as a file to start from.

**The five that people need first:** ` + "`machines`, `wake.local`, `notify.urls`, `wake.timeout`" + ` with
` + "`wake.attempts`, and `interfaces`" + `. All others are for special cases.
`

// machines is what the page says of a machine; its argument is the example.
const machines = `
## machines

The machines that are known without registering, and what is said of machines that do. The short
form is enough for most:

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
