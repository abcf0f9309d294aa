package bootstrap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/internal/exitprogram"
	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
	"github.com/mitosis-go/mitosis/bootstrap/internal/stages"
)

// The rungs of the ladder, in the order in which they are tried. The names
// appear in errors, in logs, and in [Options].
const (
	RungExec   = "exec"          // the parent's own executable, through /proc; no image
	RungCache  = "cache"         // an image that is there from before, where the cache is asked for
	RungPerl   = "memfd-perl"    // an anonymous file, made by perl
	RungPython = "memfd-python3" // the same by python3
	RungRAM    = "ram"           // an unlinked file in a directory in memory
	RungTmpfs  = "tmpfs"         // root: an unlinked file on a tmpfs that nobody else sees
	RungDisk   = "disk"          // an unlinked file on a disk
)

// ladder is every rung that a plan can be made for.
var ladder = []string{RungPerl, RungPython, RungRAM, RungTmpfs, RungDisk}

// byShell says that a rung is carried out by the far side's shell. All such rungs
// share one plan: the far side finds the first place that does, and the image
// crosses once.
func byShell(rung string) bool { return rung == RungRAM || rung == RungTmpfs || rung == RungDisk }

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
	codec  Codec
	size   int // bytes that follow the line
	skip   int // places that have been tried in vain; see shell
}

// obstacle tells why a rung is not worth trying, "" if it is.
func obstacle(rung string, f *Facts, noDisk bool) string {
	linux := f.GOOS() == "linux"
	if linux && f.NoProc {
		return noProcReason
	}
	switch rung {
	case RungPerl, RungPython:
		tool := strings.TrimPrefix(rung, "memfd-")
		if !linux {
			return "only Linux has memfd"
		}
		if !f.has(tool) {
			return "no interpreter: " + tool + " not found"
		}
	case RungRAM:
		if !linux {
			return "only Linux executes a file that has no name"
		}
		if len(f.Dirs) == 0 {
			return "no writable directory in memory"
		}
	case RungTmpfs:
		if !linux {
			return "only Linux has mount namespaces"
		}
		if f.UID != 0 {
			return "not root"
		}
		if !f.has("unshare") {
			return "unshare not found"
		}
	case RungDisk:
		if noDisk {
			return "not allowed to write to a disk"
		}
		if !linux {
			return "only Linux executes a file that has no name"
		}
	}
	return ""
}

// line is the plan for one rung, or for several that the shell carries out.
func (p *plan) line(rungs []string) string { return p.marker + " " + p.script(rungs) }

// script is what the shell of the first stage evaluates. It has no newline in it.
func (p *plan) script(rungs []string) string {
	var script string
	switch rungs[0] {
	case RungPerl:
		script = p.perl()
	case RungPython:
		script = p.python()
	default:
		script = p.shell(rungs)
	}
	return p.common(rungs[0]) + keepGo() + p.ifLoaderThere(strings.ReplaceAll(script, "\n", ""))
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
func (p *plan) common(rung string) string {
	script := fmt.Sprintf("r=%s;n=%d;i=0;", rung, p.size) + planPart("common")
	if !p.facts.has("head") {
		script += planPart("head")
	}
	return script
}

// shell is the plan of rungs that the far side's shell carries out: a row of
// places, of which the first that does receives the image. A place that turns
// out to be unfit only with the image under way, such as one that is too small,
// ends the plan; the next plan skips all up to it.
func (p *plan) shell(rungs []string) string {
	hash := hashCommand(p.facts)
	if hash != "" {
		hash = "$(" + hash + " <&8 2>/dev/null)"
	}
	verify := planPart("verify", "HASHED", hash, "CHECK", guard.CheckPrefix, "HASH", p.hash)
	if p.loader != "" {
		verify += planPart("load", "CHECK", guard.CheckPrefix, "NOLOADER", noLoader)
	}
	unpack := "cat"
	if cmd := p.codec.command(); cmd != "" {
		unpack = cmd
	}
	var b strings.Builder
	b.WriteString(p.places(p.skip) + `wrong(){ skip;bad "` + wrongFormat + `";z=1;};`)
	if slices.Contains(rungs, RungTmpfs) {
		b.WriteString(planPart("tmpfs"))
	}
	b.WriteString(planPart("receive", "VARIABLES", unpackVariables, "UNPACK", unpack, "VERIFY", strings.TrimSuffix(verify, ";"), "ARGS", quoteAll(p.args)))

	b.WriteString("go(){ ")
	for _, rung := range rungs {
		for _, place := range places(rung, p.facts) {
			test := map[string]string{RungRAM: "ram&&put", RungTmpfs: "tmpfs", RungDisk: "put"}[rung]
			fmt.Fprintf(&b, "next %s %s&&%s&&{ receive;return;};", rung, place, test)
		}
	}
	b.WriteString(`[ "$z" ]||{ skip;i=-1;bad "` + noPlaceLeft + `";};};go;`)
	return b.String()
}

// places are the functions of plans that try places, of which the first few are skipped.
func (p *plan) places(skip int) string {
	return planPart("places", "SKIP", strconv.Itoa(skip), "PROGRAM", octal(exitprogram.For(p.goarch)))
}

// places are where a rung can be tried, as words of the far side's shell.
func places(rung string, f *Facts) []string {
	switch rung {
	case RungRAM:
		quoted := make([]string, len(f.Dirs))
		for i, dir := range f.Dirs {
			quoted[i] = quote(dir)
		}
		return quoted
	case RungDisk:
		return diskPlaces
	}
	return []string{"-"}
}

// A RungError is a rung that was tried in vain or passed over, and why.
type RungError struct {
	Rung   string
	Reason string
}

// Error returns the rung and the reason.
func (e RungError) Error() string { return e.Rung + ": " + e.Reason }

// rungsFor is the ladder for these facts: the rungs to try and those that need
// no trying.
func rungsFor(f *Facts, only []string, noDisk bool) (try []string, closed []RungError) {
	for _, rung := range ladder {
		if len(only) > 0 && !slices.Contains(only, rung) {
			continue
		}
		if why := obstacle(rung, f, noDisk); why != "" {
			closed = append(closed, RungError{rung, why})
			continue
		}
		try = append(try, rung)
	}
	return try, closed
}
