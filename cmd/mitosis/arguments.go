package main

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// onValue declares an option whose values go to a function.
func onValue(flags *pflag.FlagSet, name, letter, usage string, set func(string) error) {
	flags.VarP(&called{set: set}, name, letter, usage)
}

// called is the value of an option that is handed to a function.
type called struct {
	set  func(string) error
	text string
}

// String implements pflag.Value.
func (c *called) String() string { return c.text }

// Set implements pflag.Value.
func (c *called) Set(s string) error { c.text = s; return c.set(s) }

// Type implements pflag.Value.
func (*called) Type() string { return "" }

var (
	errNoHost         = errors.New("no host is given")
	errOperandMissing = errors.New("an operand is missing")
)

func quoted(list []string) string { return strings.Join(list, " and ") }
