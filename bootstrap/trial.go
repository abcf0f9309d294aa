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

// A trial that has found something out says it behind an exclamation mark, and ends
// with status 3.

// perlTrial also meets a C library that hands a program of a foreign format to a shell.
const perlTrial = `$^F=250;
@INC=grep{m{^/}}@INC;
sub f{print"!@_";exit 3}
$s="mitosis";
$k=length(pack("p",0))==8?$ARGV[0]+0:$ARGV[1]+0;
$d=syscall($k,$s,16);
$d=syscall($k,$s,0)if$d<0;
f("memfd_create: $!")if$d<0;
open F,">&=",$d or f("open: $!");
binmode F;
syswrite F,pack("H*",$ARGV[2]);
$r=system{"/proc/self/fd/$d"}"mitosis";
f("execution not allowed, $!")if$r<0&&$!!=8;
f("execution not allowed, signal ".($r&127))if$r>0&&$r&127;
f("` + wrongFormat + `")if$r`

const pythonTrial = `import os,signal,hashlib,zlib,binascii
` + pythonCreate + `def fail(t):
    print("!"+t)
    sys.exit(3)
try:
    d=create(*sys.argv[1:3])
    os.set_inheritable(d,True)
    os.write(d,binascii.unhexlify(sys.argv[3]))
except Exception as e: fail("memfd_create: %s"%(getattr(e,"strerror",None) or e))
p=os.fork()
if p==0:
    try: os.execv("/proc/self/fd/%d"%d,["mitosis"])
    except OSError as e: os._exit(e.errno)
x=os.waitpid(p,0)[1]
if x==8<<8: fail("` + wrongFormat + `")
if x: fail("execution not allowed, %s"%("signal %d"%(x&127) if x&127 else os.strerror(x>>8)))`

// tryInterpreter is a trial, and what becomes of the plan if it fails.
func (p *plan) tryInterpreter(command string) string {
	return p.trial(command) + `||{ ` + trialReason + `skip;bad "$e";false;}&&{ `
}

// trial runs an interpreter with the system call numbers of memfd_create and the
// program to execute behind its command, and sets e to what it says. A filter's kill
// would leave a core file.
func (p *plan) trial(command string) string {
	wide, narrow := memfdNumbers(p.facts.GOARCH())
	return "e=$(ulimit -c 0;" + command + " " + strconv.Itoa(wide) + " " + strconv.Itoa(narrow) + " " + p.exitHex() + " 2>&1 </dev/null)"
}

// trialReason makes e the reason for which a trial has failed. 159 is SIGSYS on all
// machines but mips, and its name no shell prints the same.
const trialReason = `x=$?;case "$x$e" in 3*!*)e="${e##*!}";;` +
	`159*)e="interpreter does not start: killed by SIGSYS, a seccomp filter forbids memfd_create";;` +
	`*)e="${e##*: }";e="interpreter does not start: ${e:-status $x}";esac;`

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
