package cli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightporter/internal/config"
	"nightporter/internal/roff"
)

const manHelp = `Write the manual pages of nightporter and of each command into DIRECTORY, for
packages.

Exit code 0 means that the pages are written.`

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		GroupID: groupMore,
		Short:   "Write the manual pages",
		Long:    manHelp,
		Example: `  nightporter man /usr/local/share/man/man1`,
		Hidden:  true,
		Args:    oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeManual(cmd.Root(), args[0])
		},
	}
}

func oneDirectory(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("found %d arguments, expected one directory", len(args))
	}
	return nil
}

// writeManual writes the pages of root and its commands into a directory.
func writeManual(root *cobra.Command, dir string) error {
	for _, cmd := range append([]*cobra.Command{root}, documentedCommands(root)...) {
		if err := os.WriteFile(filepath.Join(dir, pageName(cmd)+".1"), []byte(manualPage(cmd)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// documentedCommands are the commands below cmd that have a manual page.
func documentedCommands(cmd *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool {
		return c.Hidden || c.Name() == "help"
	})
}

// pageName is the name of a command's page, such as nightporter-wake.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manualPage returns the page of a command.
func manualPage(cmd *cobra.Command) string {
	p := roff.NewPage(pageName(cmd), "1", "nightporter "+cmp.Or(version.Version, "unknown"), "nightporter")
	p.Section("NAME")
	p.Text(pageName(cmd) + " - " + cmd.Short)
	p.Section("SYNOPSIS")
	if cmd.HasParent() {
		p.Text("`" + cmd.UseLine() + "`")
	} else {
		p.Text("`" + cmd.Name() + "` COMMAND [flags]")
	}
	p.Section("DESCRIPTION")
	p.Text(cmp.Or(cmd.Long, cmd.Short+"."))
	writeCommands(p, cmd)
	writeOptions(p, cmd)
	if !cmd.HasParent() {
		writeProgramSections(p)
	}
	if cmd.Example != "" {
		p.Section("EXAMPLES")
		p.Code(cmd.Example)
	}
	writeSeeAlso(p, cmd)
	return p.String()
}

// writeCommands lists the commands below a command, by group.
func writeCommands(p *roff.Page, cmd *cobra.Command) {
	commands := documentedCommands(cmd)
	if len(commands) == 0 {
		return
	}
	p.Section("COMMANDS")
	for _, group := range append(cmd.Groups(), &cobra.Group{}) {
		first := true
		for _, c := range commands {
			if c.GroupID != group.ID {
				continue
			}
			if first && group.Title != "" {
				p.Subsection(strings.TrimSuffix(group.Title, ":"))
			}
			first = false
			p.Item(c.Name(), c.Short+".")
		}
	}
}

// writeOptions lists the flags of a command. Those of the configuration are in
// nightporter.yaml(5).
func writeOptions(p *roff.Page, cmd *cobra.Command) {
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	isKey := configKeys()
	hasKeys := false
	p.Section("OPTIONS")
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Hidden:
		case isKey[f.Name]:
			hasKeys = true
		default:
			p.Item(optionTerm(f), optionText(f))
		}
	})
	if hasKeys {
		p.Item("--KEY VALUE", "Each key of the configuration but `machines` and the secrets is a flag too, such as "+
			"`--wake.attempts 3`. nightporter.yaml(5) lists them.")
	}
}

// optionTerm is how a flag is written: -w, --watch, or --from HOST.
func optionTerm(f *pflag.Flag) string {
	term := "--" + f.Name
	if f.Shorthand != "" {
		term = "-" + f.Shorthand + ", " + term
	}
	if placeholder, _ := pflag.UnquoteUsage(f); placeholder != "" {
		term += " " + placeholder
	}
	return term
}

// optionText is the help of a flag, with its default unless that is empty or zero.
func optionText(f *pflag.Flag) string {
	_, text := pflag.UnquoteUsage(f)
	if slices.Contains([]string{"", "false", "0", "0s", "[]"}, f.DefValue) || strings.Contains(text, "(default") || strings.Contains(text, f.DefValue+":") {
		return text
	}
	return fmt.Sprintf("%s (default %s)", text, f.DefValue)
}

// writeProgramSections writes exit codes, environment and files of the whole program.
func writeProgramSections(p *roff.Page) {
	p.Section("EXIT STATUS")
	p.Item("0", "The command succeeded.")
	p.Item("1", "The command failed. The last line on standard error says why.")
	p.Item("2", "The command line is wrong.")
	p.Item("130", "The command was interrupted.")
	p.Section("ENVIRONMENT")
	p.Item(fromVariable, "The porter that commands use, unless `--from` names one.")
	p.Item("NIGHTPORTER_...", "Keys of the configuration: nightporter.yaml(5).")
	p.Section("FILES")
	p.Item(config.DefaultPath, "The configuration: nightporter.yaml(5).")
	p.Item(config.DefaultEnvironment, "Secrets for the daemon, read by systemd.")
	p.Item(registerConfPath, "On a machine that sleeps: settings of `nightporter register`.")
	p.Item("/var/lib/nightporter/journal.jsonl", "The porter's journal: machines, counters, events.")
}

func writeSeeAlso(p *roff.Page, cmd *cobra.Command) {
	see := []string{"nightporter.yaml(5)"}
	if cmd.HasParent() {
		see = append([]string{pageName(cmd.Parent()) + "(1)"}, see...)
	} else {
		for _, c := range documentedCommands(cmd) {
			see = append(see, pageName(c)+"(1)")
		}
	}
	p.Section("SEE ALSO")
	p.Text(strings.Join(see, ", "))
}
