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

// The start methods, in the order in which they are tried. Their names appear in errors, in
// logs, and in [Options].
const (
	StartExec   = "exec"          // the parent's own executable, through /proc; no image
	StartCache  = "cache"         // an image that is in the cache from before, if [Options].Cache allows it
	StartPerl   = "memfd-perl"    // an anonymous file, made by perl
	StartPython = "memfd-python3" // the same by python3
	StartRAM    = "ram"           // an unlinked file in a directory in memory
	StartTmpfs  = "tmpfs"         // root: an unlinked file on a tmpfs that nobody else sees
	StartDisk   = "disk"          // an unlinked file on a disk
)

// startMethods are the start methods that a plan can be made for.
var startMethods = []string{StartPerl, StartPython, StartRAM, StartTmpfs, StartDisk}

// byShell reports whether the far side's shell carries out a start method. All such start
// methods share one plan: the far side finds the first place that works, so the image is
// sent once.
func byShell(method string) bool {
	return method == StartRAM || method == StartTmpfs || method == StartDisk
}

// diskPlaces are tried in this order. They are words of the far side's shell.
var diskPlaces = []string{`"${HOME:-/}"`, "/var/tmp", "/tmp"}

// noPlaceLeft is the reason of a plan that ends before it has taken an image.
const noPlaceLeft = "no place left"

// A plan makes the second stage: one line of shell, which the loop of the first stage
// carries out, and the image right behind it.
type plan struct {
	marker string
	loop   string
	facts  *Facts
	args   []string // the child's, without argv[0]
	goarch string   // of the image
	loader string   // path of the dynamic loader that the image needs; "": it is static
	hash   string   // hex SHA-256 of the unpacked image
	codec  image.Codec
	size   int // bytes that follow the line
	skip   int // number of places that have been tried in vain; see shell
}

// obstacle returns why a start method is not worth trying, "" if it is.
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

// line returns the plan for one start method, or for several that the shell carries out.
func (p *plan) line(methods []string) string { return p.marker + " " + p.script(methods) }

// script returns the part of the line that the shell evaluates. It has no newline in it.
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

// hashCommand returns a shell command whose output begins with the hex SHA-256 of its
// standard input, "" if the far side has no program for it. openssl comes first, because it
// uses the processor's instructions for SHA-256. sha256sum often does not, and takes three
// times as long.
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

// quote makes s one word of sh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

// planPart returns a part of the second stage (plan.sh in package stages). words are pairs of
// a name in it and the text that takes its place.
func planPart(part string, words ...string) string {
	return filled(stages.Shell("plan.sh", part), append(words, "NOTHING", nothingRuns, "DIRS", systemDirs)...) + ";"
}

// common returns the beginning of every plan.
func (p *plan) common(method string) string {
	script := fmt.Sprintf("r=%s;n=%d;i=0;", method, p.size) + planPart("common")
	if !p.facts.has("head") {
		script += planPart("head")
	}
	return script
}

// shell returns the plan of the start methods that the far side's shell carries out. It
// tries one place after another, and the first that works receives the image. If a place
// fails only when the image has arrived, because it is too small for example, the plan ends.
// The next plan skips this place and those before it.
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

// places returns the shell functions that try places. They skip the first few places.
func (p *plan) places(skip int) string {
	return planPart("places", "SKIP", strconv.Itoa(skip), "PROGRAM", octal(exitprogram.For(p.goarch)))
}

// places returns the places at which a start method can be tried, as words of the far side's
// shell.
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

// A StartMethodError says why a start method failed or was passed over.
type StartMethodError struct {
	StartMethod string
	Reason      string
}

// Error returns the start method and the reason.
func (e StartMethodError) Error() string { return e.StartMethod + ": " + e.Reason }

// methodsFor returns the start methods that are worth trying at a far side, and those that
// are not, with the reason.
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
