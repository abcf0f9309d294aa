package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
)

// list is a flag that can be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func newFlags() *flag.FlagSet {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// parseArguments separates options from operands, in any order. behind has the arguments after
// "--", and is nil if there is none.
func parseArguments(flags *flag.FlagSet, args []string) (operands, behind []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			return operands, args[1:], nil
		}
		n := 1
		if len(arg) < 2 || arg[0] != '-' {
			operands = append(operands, arg)
		} else {
			if f := flags.Lookup(strings.TrimLeft(arg, "-")); f != nil && !isBool(f) {
				n = min(2, len(args))
			}
			if err := flags.Parse(args[:n]); err != nil {
				return nil, nil, err
			}
		}
		args = args[n:]
	}
	return operands, nil, nil
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// noLimit allows any number of operands.
const noLimit = 1 << 30

// operands is parseArguments for commands in which "--" only ends the options.
func operands(flags *flag.FlagSet, args []string, least, most int) ([]string, error) {
	list, behind, err := parseArguments(flags, args)
	if err != nil {
		return nil, err
	}
	list = append(list, behind...)
	switch {
	case least > 0 && len(list) == 0:
		return nil, errors.New("no hop is given")
	case len(list) < least:
		return nil, errors.New("an operand is missing")
	case len(list) > most:
		return nil, fmt.Errorf("there is an operand too many: %q", list[most])
	}
	return list, nil
}

// parseHops reads a hop path that is one argument or several.
func parseHops(path []string) ([]connect.Method, error) {
	if len(path) == 0 {
		return nil, errors.New("no hop is given")
	}
	return connect.ParsePath(strings.Join(path, "/"))
}
