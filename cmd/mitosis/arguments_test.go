package main

import (
	"flag"
	"slices"
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	for line, want := range map[string]struct {
		operands, behind string
		l                bool
		c                string
		err              string
	}{
		"":                      {},
		"a b":                   {operands: "a b"},
		"-l a":                  {operands: "a", l: true},
		"a -l b":                {operands: "a b", l: true},
		"a b -C d":              {operands: "a b", c: "d"},
		"a -C=d b":              {operands: "a b", c: "d"},
		"a --C d -l=false b":    {operands: "a b", c: "d"},
		"a -- -l b":             {operands: "a", behind: "-l b"},
		"-C -- a -l -- -- b":    {operands: "a", behind: "-- b", l: true, c: "--"},
		"- a":                   {operands: "- a"},
		"a -x":                  {err: "-x"},
		"a -C":                  {err: "needs an argument"},
		"a -l=perhaps":          {err: "invalid boolean"},
		"a -h":                  {err: flag.ErrHelp.Error()},
		"---l":                  {err: "bad flag"},
		"a -- ":                 {operands: "a"},
		"ssh:web1/sudo -l -- x": {operands: "ssh:web1/sudo", behind: "x", l: true},
	} {
		flags := newFlags()
		l, c := flags.Bool("l", false, ""), flags.String("C", "", "")
		operands, behind, err := parseArguments(flags, strings.Fields(line))
		if want.err != "" {
			if err == nil || !strings.Contains(err.Error(), want.err) {
				t.Errorf("%q: %v, not %q", line, err, want.err)
			}
			continue
		}
		if err != nil || !slices.Equal(operands, strings.Fields(want.operands)) || !slices.Equal(behind, strings.Fields(want.behind)) || *l != want.l || *c != want.c {
			t.Errorf("%q: %q, %q, -l %v, -C %q, %v", line, operands, behind, *l, *c, err)
		}
	}
}
