package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/mitosis-go/mitosis/cmd/internal/settings"
)

// inForce are the settings of this process. They are read before a command looks at its operands,
// and do not change afterwards. An option that is given counts more, so a command looks at that
// first: see hostOptions.settings.
//
// The broker reads inForce.Broker (settings.Yes: go through a broker, and start one if none runs;
// settings.Auto: if one runs; settings.No) and inForce.BrokerIdle. A new key is a row of
// settings.Keys and a field of settings.Settings; the file, the environment, "mitosis config" and
// the test of docs/cli.md follow from the row.
var inForce = settings.Defaults()

// loadSettings reads the settings.
func loadSettings() error {
	s, err := settings.Load()
	if err != nil {
		return &settingsError{err}
	}
	inForce = s
	return nil
}

// settingsError has the faults of the environment and of the file, each on a line.
type settingsError struct{ err error }

// Error implements error.
func (e *settingsError) Error() string { return e.err.Error() }

// complain prints the faults and returns the status.
func (e *settingsError) complain(errOut io.Writer) int {
	for line := range strings.SplitSeq(e.Error(), "\n") {
		fmt.Fprintf(errOut, "mitosis: %s\n", forReader(errOut, line))
	}
	return exitUsage
}

// configText is the help of config: the keys with their variables and options.
func configText() string {
	var b strings.Builder
	b.WriteString(`
The settings are lines KEY: VALUE in config.yaml, which is in $XDG_CONFIG_HOME/mitosis,
else in ~/.config/mitosis, or variables of the environment. An option counts more than a
variable, and that more than the file. $MITOSIS_CONFIG is another file; none reads none.
Names of files count from the directory of the file, or behind ~/ from home. FILES are a
list, which in the environment has the separator of PATH. What holds for some hosts only
belongs into ssh_config or the inventory. The keys, and the variable of each:

`)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, k := range settings.Keys() {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", k.Name, k.Variable(), k.Values)
	}
	w.Flush()
	return b.String()
}

// shownSetting is a setting in force, as docs/schema/config.json says.
type shownSetting struct {
	Key      string              `json:"key"`
	Value    any                 `json:"value"`
	Source   settings.SourceKind `json:"source"`
	Variable string              `json:"variable,omitempty"`
	Line     int                 `json:"line,omitempty"`
	Column   int                 `json:"column,omitempty"`
}

func declareConfig(s *sections) parser {
	s.text = configText()
	asJSON := s.add("Options").Bool("json", false, "one JSON object")
	return func(w words) (job, error) {
		switch all := w.all(); {
		case len(all) > 1:
			return nil, tooMany(all[1])
		case len(all) == 1 && all[0] != "show":
			return nil, fmt.Errorf("there is no %q: config shows the settings, and they are made in the file", all[0])
		}
		if err := loadSettings(); err != nil {
			return nil, err
		}
		if *asJSON {
			return printing(showConfigJSON), nil
		}
		return printing(showConfig), nil
	}
}

func showConfigJSON(out io.Writer) error {
	shown := struct {
		File     *string        `json:"file"` // null: none was read
		Settings []shownSetting `json:"settings"`
	}{}
	if inForce.File != "" {
		shown.File = &inForce.File
	}
	for _, k := range settings.Keys() {
		from := inForce.Source(k.Name)
		shown.Settings = append(shown.Settings, shownSetting{k.Name, k.Value(inForce), from.Kind, from.Variable, from.Line, from.Column})
	}
	return printJSON(out, shown)
}

func showConfig(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "KEY\tVALUE\tSOURCE\n")
	for _, k := range settings.Keys() {
		value := k.Value(inForce)
		fmt.Fprintf(w, "%s\t%s\t%s\n", k.Name, printable(valueText(value)), printable(sourceText(&k, value)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	name, _, err := settings.FileName()
	switch {
	case err != nil:
		return err
	case name == "":
		name = "no file is read"
	case inForce.File == "":
		name = "there is no " + name
	}
	_, err = fmt.Fprintf(out, "\nfile: %s\n", printable(name))
	return err
}

func valueText(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []string:
		return orNone(v, " ")
	}
	return fmt.Sprint(value)
}

func sourceText(k *settings.Key, value any) string {
	from := inForce.Source(k.Name)
	switch {
	case from.Kind == settings.Environment:
		return "$" + from.Variable
	case from.Kind == settings.File:
		return fmt.Sprintf("%s:%d:%d", inForce.File, from.Line, from.Column)
	case value == nil:
		return "default: " + k.Default
	}
	return "default"
}
