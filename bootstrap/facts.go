package bootstrap

import (
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Facts are what the first stage found at the far side.
type Facts struct {
	Kernel  string // uname -s, for example "Linux"; "?" where there is no uname
	Machine string // uname -m, for example "x86_64"; "?"
	UID     int    // -1 if it could not be found out

	// Tools are the programs in PATH that a launch can use: interpreters,
	// decompressors, hash programs, unshare.
	Tools []string
	// NoProc says that /proc is not mounted, as in the tree of a damaged system.
	// Without it a file that has no name can't be executed, unless root mounts it.
	NoProc bool
	// Dirs are the usual directories in memory, as far as they exist and may be
	// written. Whether one allows execution shows when it is used.
	Dirs []string
}

// noProc stands before the tools where /proc is not mounted.
const noProc = "-proc"

// unknownFact takes the place of a fact that the far side could not find out.
const unknownFact = "?"

// factsVersion is the first word behind "hi". It says how to read the others.
const factsVersion = "1"

var errFacts = errors.New("malformed facts")

// parseFacts reads the line of the first stage behind "hi":
//
//	1 KERNEL MACHINE UID [TOOL ...] / [DIR ...] .
//
// Before the tools stands "-proc" where /proc is not mounted.
// The lone dot shows that the line is whole. A field that is not known is missing or "?".
func parseFacts(s string) (Facts, error) {
	words := strings.Fields(s)
	if len(words) < 6 || words[0] != factsVersion || words[len(words)-1] != "." {
		return Facts{}, errFacts
	}
	words = words[1 : len(words)-1]
	slash := slices.Index(words, "/")
	if slash < 3 {
		return Facts{}, errFacts
	}
	uid, err := strconv.Atoi(words[2])
	if err != nil || uid < 0 {
		uid = -1
	}
	f := Facts{Kernel: words[0], Machine: words[1], UID: uid, Tools: words[3:slash:slash]}
	if words[3] == noProc { // if there are no tools, this is the slash
		f.NoProc, f.Tools = true, f.Tools[1:]
	}
	for _, dir := range words[slash+1:] {
		if strings.HasPrefix(dir, "/") {
			f.Dirs = append(f.Dirs, dir)
		}
	}
	return f, nil
}

func (f *Facts) has(tool string) bool { return slices.Contains(f.Tools, tool) }

// GOOS returns the Go name of the far side's operating system, or the output of uname in
// lower case where Go has no name for it. A damaged host without uname, but with the /proc
// of Linux, is taken for Linux.
func (f *Facts) GOOS() string {
	switch k := strings.ToLower(f.Kernel); {
	case k == unknownFact && !f.NoProc:
		return "linux"
	case k == "sunos":
		return "solaris"
	case strings.HasPrefix(k, "cygwin"), strings.HasPrefix(k, "mingw"), strings.HasPrefix(k, "msys"), strings.HasPrefix(k, "windows"):
		return "windows"
	default:
		return k
	}
}

// GOARCH returns the Go name of the architecture of the far side's kernel, or uname's where
// Go has no name for it. Without uname it is our own. If that is wrong, the image is not
// executed there, and the start methods report it.
func (f *Facts) GOARCH() string {
	switch m := f.Machine; m {
	case unknownFact:
		return runtime.GOARCH
	case "x86_64", "amd64":
		return "amd64"
	case "i386", "i486", "i586", "i686", "i86pc", "x86":
		return "386"
	case "aarch64", "arm64", "aarch64_be":
		return "arm64"
	case "loongarch64":
		return "loong64"
	case "mips64":
		return "mips64"
	default:
		if strings.HasPrefix(m, "armv8") {
			return "arm" // a 32-bit personality of a 64-bit kernel
		}
		if strings.HasPrefix(m, "arm") {
			return "arm"
		}
		return m
	}
}
