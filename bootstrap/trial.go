package bootstrap

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/internal/exitprogram"
)

// Before exec replaces the shell by an interpreter, a trial finds out whether that
// does all that it is wanted for. It may be a wrapper without anything behind it, lack
// its libraries or modules, be killed by a seccomp filter when it calls memfd_create, or
// not be allowed to execute what it has made. The trial does all of it, with a program
// that only ends in place of the image.

// tryInterpreter is a trial, and what becomes of the plan if it fails.
func (p *plan) tryInterpreter(command string) string {
	return p.trial(command) + `||{ ` + planPart("trial") + `skip;bad "$e";false;}&&{ `
}

// trial runs an interpreter with the system call numbers of memfd_create and the
// program to execute behind its command, and sets e to what it says. A filter's kill
// would leave a core file.
func (p *plan) trial(command string) string {
	wide, narrow := memfdNumbers(p.facts.GOARCH())
	return "e=$(ulimit -c 0;" + command + " " + strconv.Itoa(wide) + " " + strconv.Itoa(narrow) + " " + p.exitHex() + " 2>&1 </dev/null)"
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

// exitHex is the program that a trial executes, as an argument of an interpreter.
func (p *plan) exitHex() string { return hex.EncodeToString(exitprogram.For(p.goarch)) }
