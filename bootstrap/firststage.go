package bootstrap

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
	"github.com/mitosis-go/mitosis/bootstrap/internal/stages"
)

// MaxLine bounds [Launch.Line], in bytes.
const MaxLine = 1024

// first returns a part of the first stage (first.sh in package stages). words are pairs of a
// name in it and the text that takes its place.
func first(part string, words ...string) string {
	return filled(stages.Shell("first.sh", part), words...) + ";"
}

// filled puts words into a program: pairs of a name in it and the text that takes its place.
func filled(program string, words ...string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(program, "@")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "@")
		program = rest
		at := "@"
		for i := 0; i < len(words); i += 2 {
			if closed && words[i] == name {
				at, program = words[i+1], after
			}
		}
		b.WriteString(at)
	}
}

// keepGo returns the statement that gives other names to the variables that the Go runtime
// reads: see [guard.GoVariables]. The first stage has no room for it beside the cache. If one
// of the variables ends the program from the cache, a plan follows.
func keepGo() string {
	return first("keep", "VARIABLES", strings.Join(guard.GoVariables, " "), "PREFIX", guard.KeptPrefix)
}

// stageLoop returns the loop that reads plans. A start method that had to replace the shell
// returns to it, too.
func stageLoop() string { return stages.Shell("first.sh", "loop") }

// stageTools are the programs that the first stage looks for.
var stageTools = []string{
	"perl", "python3", "zstd", "gzip", "xz", "sha256sum", "shasum", "openssl", "head", "tee", "unshare",
}

// findFacts returns the statements that find and print the facts.
func findFacts() string {
	return first("facts", "NOPROC", noProc, "TOOLS", strings.Join(stageTools, " "))
}

// newMarker makes a random word, which no other output contains by chance.
func newMarker() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// script returns the first stage as the argument of sh -c.
func (l *Launch) script() string {
	var b strings.Builder
	half := len(l.marker) / 2
	b.WriteString(first("marker", "FRONT", l.marker[:half], "BACK", l.marker[half:]))
	b.WriteString(first("clean") + first("leave"))
	if (l.opts.Same || l.opts.Pid > 0) && !l.opts.Probe {
		path := executableOf(l.opts.Pid)
		if dev, ino, ok := fileID(path); ok {
			label := l.label()
			if label != "" {
				label = " " + label
			}
			b.WriteString(first("shortcut", "EXE", path, "ID", fmt.Sprintf("%d.%d", dev, ino), "CHECK", guard.CheckPrefix, "KEEP", strings.TrimSuffix(keepGo(), ";"), "ARGS", guard.GuardPrefix+"$m"+label))
		}
	}
	b.WriteString(first("ready"))
	if hash := l.sought(); hash != "" && !l.opts.Probe {
		b.WriteString(l.lookup(hash))
	}
	b.WriteString(findFacts())
	b.WriteString(stageLoop())
	return b.String()
}

// loop returns the command that reads further plans after a start method has replaced the
// shell. Its argument is the working directory of the child.
func (l *Launch) loop() string {
	return "m=" + l.marker + ";" + first("clean") + "w=$1;cd /;" + stageLoop()
}

// Line returns the first stage as one shell command line of at most [MaxLine] bytes,
// for tools that hand it to a login shell. It starts packing the image: a launch that is not
// run has to be abandoned.
func (l *Launch) Line() string {
	l.prefetch()
	return "exec /bin/sh -c '" + l.script() + "'"
}

// Argv returns the first stage as an argument vector. Otherwise it is like Line.
func (l *Launch) Argv() []string {
	l.prefetch()
	return []string{"/bin/sh", "-c", l.script()}
}

// Exec returns the path and the arguments of our own executable, for children on this host
// that run as the same user. argv[0] is the name.
func (l *Launch) Exec() (path string, argv []string) {
	path, err := guard.SelfPath()
	if err != nil {
		path = os.Args[0]
	}
	argv = []string{"mitosis", guard.GuardPrefix + l.marker}
	if label := l.label(); label != "" {
		argv = append(argv, label)
	}
	return path, argv
}

// ExecEnviron returns entries to be added to our own environment for Exec. They hide the
// variables that the child's Go runtime would read. The child gives them back to the
// commands that it starts.
func ExecEnviron() []string { return guard.Added() }

// childArgs returns the arguments of a child that is made from an image.
func (l *Launch) childArgs(hash string) []string {
	args := []string{guard.GuardPrefix + l.marker, guard.ImagePrefix + hash}
	if label := l.label(); label != "" {
		args = append(args, label)
	}
	return args
}

// label returns the text that the far side's process list shows beside the marker. It is
// cut, and has no character with a meaning to a shell.
func (l *Launch) label() string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("@:._-/", r):
			return r
		}
		return '_'
	}, l.opts.Label)
	return clean[:min(len(clean), 40)]
}
