package bootstrap

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/internal/exitprogram"
)

// Before exec replaces the shell by an interpreter, a trial finds out whether the interpreter
// can do its work. It may be a wrapper with nothing behind it, or lack its libraries or modules.
// A seccomp filter may kill it when it calls memfd_create, or forbid it to execute the file.
// The trial does everything that the interpreter is to do, with a program that only ends in
// place of the image.

// tryInterpreter returns a trial, and the end of the plan if it fails.
func (p *plan) tryInterpreter(command string) string {
	return p.trial(command) + `||{ ` + planPart("trial") + `skip;bad "$e";false;}&&{ `
}

// trialWorks ends the output of a trial that has succeeded. Status 0 says nothing: the program
// with the interpreter's name may be another one.
const trialWorks = "works"

// trial returns a command that runs an interpreter, and sets e to its output. The arguments
// are the system call numbers of memfd_create and the program to execute. No core file is left
// if a filter kills it.
func (p *plan) trial(command string) string {
	wide, narrow := memfdNumbers(p.facts.GOARCH())
	return "e=$(ulimit -c 0;" + command + " " + strconv.Itoa(wide) + " " + strconv.Itoa(narrow) + " " + p.exitHex() + " 2>&1 </dev/null)&&case $e in *" + trialWorks + `);;*)e="!interpreter does nothing, and ends with status 0";(exit 3);esac`
}

// unpackVariables are options of the programs that unpack an image.
const unpackVariables = "GZIP XZ_OPT XZ_DEFAULTS ZSTD_NBTHREADS ZSTD_CLEVEL"

// octal spells bytes as the format of printf(1).
func octal(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		fmt.Fprintf(&s, `\%03o`, c)
	}
	return s.String()
}

// exitHex returns the program that a trial executes, as an argument of an interpreter.
func (p *plan) exitHex() string { return hex.EncodeToString(exitprogram.For(p.goarch)) }
