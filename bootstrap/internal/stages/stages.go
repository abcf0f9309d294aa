// Package stages has the programs that a bootstrap runs at a far side, in shell, perl and
// python. They are files with comments, which are taken away before sending: see [Shell], [Perl]
// and [Python].
//
// The caller replaces each word between two @. A comment that consists of such a word marks a
// place where the caller may put a piece of program (see [Put]).
package stages

import (
	_ "embed"
	"strings"
	"sync"
)

// Each file has a variable of its own: an embed.FS would add code of a file system to images.
var (
	//go:embed first.sh
	firstShell string
	//go:embed plan.sh
	planShell string
	//go:embed memfd.pl
	memfdPerl string
	//go:embed load.pl
	loadPerl string
	//go:embed trial.pl
	trialPerl string
	//go:embed clean.py
	cleanPython string
	//go:embed create.py
	createPython string
	//go:embed memfd.py
	memfdPython string
	//go:embed load.py
	loadPython string
	//go:embed trial.py
	trialPython string
)

// source returns the text of a file. It panics if there is no such file.
func source(file string) string {
	switch file {
	case "first.sh":
		return firstShell
	case "plan.sh":
		return planShell
	case "memfd.pl":
		return memfdPerl
	case "load.pl":
		return loadPerl
	case "trial.pl":
		return trialPerl
	case "clean.py":
		return cleanPython
	case "create.py":
		return createPython
	case "memfd.py":
		return memfdPython
	case "load.py":
		return loadPython
	case "trial.py":
		return trialPython
	}
	panic("stages: there is no file " + file)
}

// sent keeps the programs and parts in the form that is sent. Each is made at its first use.
var sent struct {
	sync.Mutex
	all map[string]string
}

// once returns a file after minify. It keeps the result under a key, and calls minify only once
// for each key.
func once(key, file string, minify func(string) string) string {
	sent.Lock()
	defer sent.Unlock()
	if text, ok := sent.all[key]; ok {
		return text
	}
	text := minify(source(file))
	if sent.all == nil {
		sent.all = make(map[string]string)
	}
	sent.all[key] = text
	return text
}

// Shell returns a part of a file for sh, as one line without a semicolon at its end.
func Shell(file, part string) string {
	return once(file+"#"+part, file, func(whole string) string { return minifyShell(partOf(whole, part)) })
}

// Perl returns a program for perl. Its lines may be joined to one.
func Perl(file string) string { return once(file, file, minifyPerl) }

// Python returns a program for python.
func Python(file string) string { return once(file, file, minifyPython) }

// partOf returns the text behind the line that begins a part, up to the next such line.
func partOf(source, part string) string {
	_, text, found := strings.Cut(source, "\n#: "+part+"\n")
	if !found {
		panic("stages: there is no part " + part)
	}
	text, _, _ = strings.Cut(text, "\n#: ")
	return text
}

// Put returns a program with a piece in the place of a comment; see the package comment. The
// piece "" takes the comment away.
func Put(program, place, piece string) string {
	before, after, found := strings.Cut(program, "# @"+place+"@\n")
	if !found {
		panic("stages: there is no place " + place)
	}
	return before + piece + after
}
