package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// What was written before there was a library is read as before, and never as several letters.
func TestLongNamesWithOneDash(t *testing.T) {
	for line, want := range map[string]string{
		"":                     "",
		"a -l b":               "a -l b",
		"-mode 640 a":          "--mode 640 a",
		"-mode=640 -json a":    "--mode=640 --json a",
		"--mode -json a":       "--mode -json a", // the value
		"-C -json a":           "-C -json a",
		"-lC -json -json":      "-lC -json --json",
		"-C-json -json":        "-C-json --json",
		"-C=x -json":           "-C=x --json",
		"-json=false a":        "--json=false a",
		"a -- -json":           "a -- -json",
		"-x -json":             "-x --json", // the library says that it does not know -x
		"- -json":              "- --json",
		"-C":                   "-C",
		"---json":              "---json",
		"-modes -mode":         "-modes --mode",
		"-l -json ssh:a -mode": "-l --json ssh:a --mode",
	} {
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.BoolP("login", "l", false, "")
		f.StringP("chdir", "C", "", "")
		f.String("mode", "", "")
		f.Bool("json", false, "")
		if got := joined(twoDashes(f, strings.Fields(line), false)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.Bool("keep-jobs", false, "")
	if got := joined(twoDashes(f, strings.Fields("-keep-jobs host -keep-jobs"), true)); strings.Join(got, " ") != "--keep-jobs host -keep-jobs" {
		t.Errorf("behind the operand of a command with options of another program: %q", got)
	}
}

func joined(options, rest []string) []string { return append(options, rest...) }
