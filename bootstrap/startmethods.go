package bootstrap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/bootstrap/internal/exitprogram"
	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
	"github.com/mitosis-go/mitosis/bootstrap/internal/stages"
)

// The start methods, in the order in which they are tried. The names
// appear in errors, in logs, and in [Options].
const (
	StartExec   = "exec"          // the parent's own executable, through /proc; no image
	StartCache  = "cache"         // an image that is there from before, where the cache is asked for
	StartPerl   = "memfd-perl"    // an anonymous file, made by perl
	StartPython = "memfd-python3" // the same by python3
	StartRAM    = "ram"           // an unlinked file in a directory in memory
	StartTmpfs  = "tmpfs"         // root: an unlinked file on a tmpfs that nobody else sees
	StartDisk   = "disk"          // an unlinked file on a disk
)

// startMethods is every start method that a plan can be made for.
var startMethods = []string{StartPerl, StartPython, StartRAM, StartTmpfs, StartDisk}

// byShell says that a start method is carried out by the far side's shell. All such start methods
// share one plan: the far side finds the first place that does, and the image
// crosses once.
func byShell(method string) bool {
	return method == StartRAM || method == StartTmpfs || method == StartDisk
}

// diskPlaces are tried in this order, as words of the far side's shell.
var diskPlaces = []string{`"${HOME:-/}"`, "/var/tmp", "/tmp"}

// noPlaceLeft is the reason of a plan that ends before it has taken an image.
const noPlaceLeft = "no place left"

// A plan is the second stage: one line for the loop of the first, and the image
// right behind it.
type plan struct {
	marker string
	loop   string
	facts  *Facts
	args   []string // the child's, without argv[0]
	goarch string   // of the image
	loader string   // that the image needs; "" for a static one
	hash   string   // hex SHA-256 of what the far side unpacks
	codec  image.Codec
	size   int // bytes that follow the line
	skip   int // places that have been tried in vain; see shell
}

// obstacle tells why a start method is not worth trying, "" if it is.
func obstacle(method string, f *Facts, noDisk bool) string {
	linux := f.GOOS() == "linux"
	if linux && f.NoProc {
		return noProcReason
	}
	switch method {
	case StartPerl, StartPython:
		tool := strings.TrimPrefix(method, "memfd-")
		if !linux {
			return "only Linux has memfd"
		}
		if !f.has(tool) {
			return "no interpreter: " + tool + " not found"
		}
	case StartRAM:
		if !linux {
			return "only Linux executes a file that has no name"
		}
		if len(f.Dirs) == 0 {
			return "no writable directory in memory"
		}
	case StartTmpfs:
		if !linux {
			return "only Linux has mount namespaces"
		}
		if f.UID != 0 {
			return "not root"
		}
		if !f.has("unshare") {
			return "unshare not found"
		}
	case StartDisk:
		if noDisk {
			return "not allowed to write to a disk"
		}
		if !linux {
			return "only Linux executes a file that has no name"
		}
	}
	return ""
}

// line is the plan for one start method, or for several that the shell carries out.
func (p *plan) line(methods []string) string { return p.marker + " " + p.script(methods) }

// script is what the shell of the first stage evaluates. It has no newline in it.
func (p *plan) script(methods []string) string {
	var script string
	switch methods[0] {
	case StartPerl:
		script = p.perl()
	case StartPython:
		script = p.python()
	default:
		script = p.shell(methods)
	}
	return p.common(methods[0]) + keepGo() + p.ifLoaderThere(strings.ReplaceAll(script, "\n", ""))
}

// hashCommand is a shell command whose output begins with the hex SHA-256 of its
// standard input, "" if the far side has nothing for it. openssl comes first: it
// uses the instructions that processors have for SHA-256, sha256sum often does
// not and takes three times as long.
func hashCommand(f *Facts) string {
	switch {
	case f.has("openssl"):
		return "openssl dgst -sha256 -r"
	case f.has("sha256sum"):
		return "sha256sum"
	case f.has("shasum"):
		return "PERL5OPT= PERL5LIB= PERLLIB= PERLIO= PERL_UNICODE=0 shasum -a 256" // a script for perl
	case f.has("python3"):
		return python + `"` + strings.TrimSpace(stages.Python("clean.py")) + `;import hashlib;print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"`
	}
	return ""
}

// quote makes one word of s for sh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

// planPart is a part of the second stage (see plan.sh in package stages), with words of
// it filled in: pairs of a name and what is in its place.
func planPart(part string, words ...string) string {
	return filled(stages.Shell("plan.sh", part), append(words, "NOTHING", nothingRuns)...) + ";"
}

// common is what every plan begins with.
func (p *plan) common(method string) string {
	script := fmt.Sprintf("r=%s;n=%d;i=0;", method, p.size) + planPart("common")
	if !p.facts.has("head") {
		script += planPart("head")
	}
	return script
}

// shell is the plan of start methods that the far side's shell carries out: a row of
// places, of which the first that does receives the image. A place that turns
// out to be unfit only with the image under way, such as one that is too small,
// ends the plan; the next plan skips all up to it.
func (p *plan) shell(methods []string) string {
	hash := hashCommand(p.facts)
	if hash != "" {
		hash = "$(" + hash + " <&8 2>/dev/null)"
	}
	verify := planPart("verify", "HASHED", hash, "CHECK", guard.CheckPrefix, "HASH", p.hash)
	if p.loader != "" {
		verify += planPart("load", "CHECK", guard.CheckPrefix, "NOLOADER", noLoader)
	}
	unpack := "cat"
	if cmd := p.codec.UnpackCommand(); cmd != "" {
		unpack = cmd
	}
	var b strings.Builder
	b.WriteString(p.places(p.skip) + `wrong(){ skip;bad "` + wrongFormat + `";z=1;};`)
	if slices.Contains(methods, StartTmpfs) {
		b.WriteString(planPart("tmpfs"))
	}
	b.WriteString(planPart("receive", "VARIABLES", unpackVariables, "UNPACK", unpack, "VERIFY", strings.TrimSuffix(verify, ";"), "ARGS", quoteAll(p.args)))

	b.WriteString("go(){ ")
	for _, method := range methods {
		for _, place := range places(method, p.facts) {
			test := map[string]string{StartRAM: "ram&&put", StartTmpfs: "tmpfs", StartDisk: "put"}[method]
			fmt.Fprintf(&b, "next %s %s&&%s&&{ receive;return;};", method, place, test)
		}
	}
	b.WriteString(`[ "$z" ]||{ skip;i=-1;bad "` + noPlaceLeft + `";};};go;`)
	return b.String()
}

// places are the functions of plans that try places, of which the first few are skipped.
func (p *plan) places(skip int) string {
	return planPart("places", "SKIP", strconv.Itoa(skip), "PROGRAM", octal(exitprogram.For(p.goarch)))
}

// places are where a start method can be tried, as words of the far side's shell.
func places(method string, f *Facts) []string {
	switch method {
	case StartRAM:
		quoted := make([]string, len(f.Dirs))
		for i, dir := range f.Dirs {
			quoted[i] = quote(dir)
		}
		return quoted
	case StartDisk:
		return diskPlaces
	}
	return []string{"-"}
}

// A StartMethodError is a start method that was tried in vain or passed over, and why.
type StartMethodError struct {
	StartMethod string
	Reason      string
}

// Error returns the start method and the reason.
func (e StartMethodError) Error() string { return e.StartMethod + ": " + e.Reason }

// methodsFor is the start methods for these facts: the start methods to try and those that need
// no trying.
func methodsFor(f *Facts, only []string, noDisk bool) (try []string, closed []StartMethodError) {
	for _, method := range startMethods {
		if len(only) > 0 && !slices.Contains(only, method) {
			continue
		}
		if why := obstacle(method, f, noDisk); why != "" {
			closed = append(closed, StartMethodError{method, why})
			continue
		}
		try = append(try, method)
	}
	return try, closed
}
