// Manual writes the pages of the manual of the command line: mitosis.1, a page for each command,
// such as mitosis-run.1, and mitosis-cli.7, which is docs/cli.md.
//
//	manual -o DIR PROGRAM docs/cli.md
//
// It asks the program itself about its commands ("mitosis help --json"), so nothing is written
// twice, and the program carries nothing of it. A library renders the pages; the texts have no date,
// so the same program has the same pages.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/cpuguy83/go-md2man/v2/md2man"
)

func main() {
	dir := flag.String("o", ".", "the `directory` of the pages")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: manual -o DIR PROGRAM docs/cli.md")
		os.Exit(2)
	}
	if err := write(*dir, flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintf(os.Stderr, "manual: %v\n", err)
		os.Exit(1)
	}
}

// write writes the pages.
func write(dir, program, cli string) error {
	out, err := exec.Command(program, "help", "--json").Output()
	if err != nil {
		return fmt.Errorf("%s help --json: %w", program, err)
	}
	var h help
	if err := json.Unmarshal(out, &h); err != nil {
		return fmt.Errorf("%s help --json: %w", program, err)
	}
	if len(h.Commands) == 0 {
		return errors.New("the program has no commands")
	}
	text, err := os.ReadFile(cli)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range append(h.pages(), cliPage(h.Version, string(text))) {
		name := filepath.Join(dir, fmt.Sprintf("%s.%d", p.name, p.section))
		if err := os.WriteFile(name, md2man.Render([]byte(p.text)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
