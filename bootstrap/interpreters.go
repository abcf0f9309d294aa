package bootstrap

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/bootstrap/internal/stages"
)

// memfdNumbers returns the system call numbers of memfd_create on a machine, for
// interpreters of 64 and of 32 bits. (Linux, arch/*/entry/syscalls.)
func memfdNumbers(goarch string) (wide, narrow int) {
	switch goarch {
	case "amd64", "386":
		return 319, 356
	case "arm64", "arm":
		return 279, 385
	case "ppc64", "ppc64le":
		return 360, 360
	case "s390x":
		return 350, 350
	case "mips64", "mips64le", "mips", "mipsle":
		return 5314, 4354
	}
	return 279, 279 // riscv64, loong64 and everything newer share one table
}

// perlVariables steer perl before it sees its script: options, modules, layers of
// handles.
const perlVariables = "PERL5OPT PERL5LIB PERLLIB PERL5DB PERL_UNICODE PERLIO PERL_ENCODING"

// perl begins its command line. -C0 keeps it from decoding its input.
const perl = "perl -C0 -e "

// perlProgram returns a program of package stages for perl. load takes the place that
// memfd.pl has for it.
func perlProgram(file, load string) string {
	program := stages.Perl(file)
	if file == "memfd.pl" {
		program = stages.Put(program, "LOAD", load)
	}
	return strings.ReplaceAll(filled(program, "WRONG", wrongFormat, "NOLOADER", noLoader, "WORKS", trialWorks), "\n", "")
}

// perl returns the plan that makes an anonymous file with perl.
func (p *plan) perl() string {
	wide, narrow := memfdNumbers(p.facts.GOARCH())
	argv := []string{
		p.marker, strconv.Itoa(p.size), strconv.Itoa(wide), strconv.Itoa(narrow),
		p.hash, p.unpackAndHash(), p.loop,
	}
	load := ""
	if p.loader != "" {
		load = stages.Perl("load.pl")
	}
	return p.tryInterpreter("unset "+perlVariables+";command "+perl+quote(perlProgram("trial.pl", ""))) +
		planPart("withoutperl", "VARIABLES", perlVariables) + "exec " + perl + quote(perlProgram("memfd.pl", load)) + " -- " + quoteAll(argv) + ` "$w" $# "$@" ` + quoteAll(p.args) + ";}"
}

// unpackAndHash returns a shell command that unpacks standard input into the file FD. Where
// the far side has the programs, it also prints the hash of the unpacked bytes. To hash
// while the image arrives costs no time where there is a second processor. The command
// prints nothing else unless something fails.
func (p *plan) unpackAndHash() string {
	unpack := p.codec.UnpackCommand()
	if unpack == "" {
		unpack = "cat"
	}
	// perl starts a shell of its own for the command, with the environment of this one.
	clean := first("clean") + "unset " + unpackVariables + ";"
	// A pipeline has the status of its last command. A tee that can't write the
	// file goes on with the pipe, so the hash alone says nothing about the file.
	checked := func(command string) string {
		name, _, _ := strings.Cut(command, " ")
		return "{ " + command + "||echo !" + name + ": status $? >&2;}"
	}
	hash := hashCommand(p.facts)
	if hash == "" || !p.facts.has("tee") {
		return clean + checked(unpack+" >FD")
	}
	return clean + checked(unpack) + "|" + checked("tee FD") + "|{ " + hash + "||cat >/dev/null;}"
}

// python begins its command line: no variables (-E), no modules of users (-s) or
// packages (-S), no files of compiled code (-B).
const python = "python3 -EsSB -c "

// pythonProgram returns a program of package stages as arguments of python3. load takes the
// place that memfd.py has for it. A plan is a single line, so python itself makes lines of
// it, from a string literal that means the same in Go.
func pythonProgram(file, load string) string {
	program := stages.Put(stages.Python(file), "CREATE", stages.Python("create.py"))
	if file == "memfd.py" {
		program = stages.Put(program, "LOAD", load)
	}
	program = filled(strings.TrimSuffix(program, "\n"), "WRONG", wrongFormat, "NOLOADER", noLoader, "VARIABLES", unpackVariables, "WORKS", trialWorks)
	return python + quote(fmt.Sprintf("exec(%q)", stages.Python("clean.py")+program))
}

// python returns the plan that makes an anonymous file with python3.
func (p *plan) python() string {
	wide, narrow := memfdNumbers(p.facts.GOARCH())
	unpack := p.codec.UnpackCommand()
	if p.codec == image.Gzip {
		unpack = "zlib" // a process less
	}
	argv := []string{
		p.marker, strconv.Itoa(p.size), strconv.Itoa(wide), strconv.Itoa(narrow),
		p.hash, unpack, p.loop,
	}
	load := ""
	if p.loader != "" {
		load = stages.Python("load.py")
	}
	return p.tryInterpreter("command "+pythonProgram("trial.py", "")) + "exec " + pythonProgram("memfd.py", load) + " " +
		quoteAll(argv) + ` "$w" "${LC_CTYPE+x$LC_CTYPE}" ` + quoteAll(p.args) + ";}"
}
