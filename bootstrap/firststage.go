package bootstrap

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
)

// MaxLine bounds [Launch.Line], in bytes.
const MaxLine = 1024

// The first stage, in the order of its statements:
//
//   - The marker, in two pieces, so that an echo of this text is not taken for it.
//   - Options and functions that sh has from its environment (bash's SHELLOPTS, and
//     what was exported there) are undone, as far as they would change what follows.
//   - The working directory is left for /, so that no program and no module is
//     looked for in it, and w keeps it for the child: a / where it was lost on the
//     way (sudo from a home that the new user may not enter).
//   - The way without an image: where the parent's executable can be seen
//     (same file by device and inode, which a foreign process that has our
//     number in another PID namespace is not), it is executed and there is no
//     second stage.
//   - A terminal is made a pipe.
//   - Where the cache is asked for: the image in it, see stageCache.
//   - The facts, as one line in one write; by echo where printf is neither a builtin
//     (mksh, posh) nor there as a program.
//   - The loop that carries out plans. read takes its line byte by byte, so
//     what follows the line stays unread. Lines that don't begin with the marker
//     are passed over: newlines sent to wake a profile that reads, the rest of
//     an image.
//
// It goes through a login shell that may be any of sh, bash, dash, ash, zsh, csh,
// tcsh, fish, within single quotes: so there is no single quote, exclamation
// mark (csh), newline, or double backslash (fish) in it. Whatever comes later
// than this line does not pass through that shell and is free of these rules.
const (
	stageMarker   = `m=%s"%s";`
	stageClean    = `set +aefuvxC;unset -f command cd printf;`
	stageLeave    = `w=/;cd . 2>&-&&w=$PWD;cd /;`
	stageShortcut = `[ "$(stat -Lc %%d.%%i %s 2>&-)" = %d.%d ]%[6]s&&cd "$w"&&exec %[1]s %[4]s$m%[5]s;`
	stageReady    = `[ -t 0 ]&&stty raw -echo;u=$(id -u);y=$(uname -sm);`
	stageFacts    = `t=;[ -e /proc/self/fd ]||t=" ` + noProc + `";d=;for x in %s;do command -v $x >/dev/null 2>&1&&t="$t $x";done;` +
		`for x in "$XDG_RUNTIME_DIR" /dev/shm /run/user/$u /run /tmp;do [ -w "$x/" ]&&d="$d $x";done;` +
		`x="$m hi 1 ${y:-? ?} ${u:-?}$t /$d .";printf "\n%%s\n" "$x"||echo "$x";`
	// stageLoop is also what a rung that had to replace the shell returns to.
	stageLoop = `while read -r p;do case $p in $m*)eval "${p#* }";;esac;done`
)

// stageTools are the programs that the first stage looks for.
var stageTools = []string{
	"perl", "python3", "zstd", "gzip", "xz", "sha256sum", "shasum", "openssl", "head", "tee", "unshare",
}

// newMarker makes a word that no other output contains by chance.
func newMarker() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// script is the first stage as the argument of sh -c.
func (l *Launch) script() string {
	var b strings.Builder
	half := len(l.marker) / 2
	fmt.Fprintf(&b, stageMarker, l.marker[:half], l.marker[half:])
	b.WriteString(stageClean + stageLeave)
	if (l.opts.Same || l.opts.Pid > 0) && !l.opts.Probe {
		path := executableOf(l.opts.Pid)
		if dev, ino, ok := fileID(path); ok {
			label := l.label()
			if label != "" {
				label = " " + label
			}
			there := ""
			if loader := OwnLoader(); plainPath(loader) {
				there = "&&[ -e " + loader + " ]"
			}
			fmt.Fprintf(&b, stageShortcut, path, dev, ino, guard.GuardPrefix, label, there)
		}
	}
	b.WriteString(stageReady)
	if hash := l.sought(); hash != "" && !l.opts.Probe {
		b.WriteString(l.lookup(hash))
	}
	fmt.Fprintf(&b, stageFacts, strings.Join(stageTools, " "))
	b.WriteString(stageLoop)
	return b.String()
}

// loop is the command that takes up the reading of plans again after a rung
// has replaced the shell. Its argument is the working directory of the child.
func (l *Launch) loop() string { return "m=" + l.marker + ";" + stageClean + "w=$1;cd /;" + stageLoop }

// Line is the first stage as one shell command line of at most [MaxLine] bytes,
// for tools that hand it to a login shell.
func (l *Launch) Line() string {
	l.prefetch()
	return "exec /bin/sh -c '" + l.script() + "'"
}

// Argv is the first stage as an argument vector.
func (l *Launch) Argv() []string {
	l.prefetch()
	return []string{"/bin/sh", "-c", l.script()}
}

// Exec is the direct start of our own executable, for children on this host
// that run as ourselves. argv[0] is the name.
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

// childArgs is the command line of a child made from an image.
func (l *Launch) childArgs(hash string) []string {
	args := []string{guard.GuardPrefix + l.marker, guard.ImagePrefix + hash}
	if label := l.label(); label != "" {
		args = append(args, label)
	}
	return args
}

// label is what the process list of the far side shows besides the marker:
// cut, and rid of everything that a shell could take for its own.
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
