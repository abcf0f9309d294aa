// Package stages has the programs that a bootstrap runs at a far side, in shell, perl
// and python. They are files with comments, and are sent without: see [Shell], [Perl]
// and [Python].
//
// In all of them a word between two @ is filled in by the caller. A comment that is such a
// word alone stands for a piece that may be put there (see [Put]).
package stages

import (
	_ "embed"
	"strings"
	"sync"
)

// The files one by one, since an embed.FS would bring code for a file system along.
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

// source is the text of a file.
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

// sent has the programs and parts in the form that is sent. Each is made at its first use.
var sent struct {
	sync.Mutex
	all map[string]string
}

// once returns the minified file. It keeps the text under a key, and minifies once.
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

// Shell is a part of a file for sh, as one line without a semicolon at its end.
func Shell(file, part string) string {
	return once(file+"#"+part, file, func(whole string) string { return minifyShell(partOf(whole, part)) })
}

// Perl is a program for perl, in lines that may be put together as one.
func Perl(file string) string { return once(file, file, minifyPerl) }

// Python is a program for python.
func Python(file string) string { return once(file, file, minifyPython) }

// partOf is the text behind the line that begins a part, up to the next such line.
func partOf(source, part string) string {
	_, text, found := strings.Cut(source, "\n#: "+part+"\n")
	if !found {
		panic("stages: there is no part " + part)
	}
	text, _, _ = strings.Cut(text, "\n#: ")
	return text
}

// Put puts a piece where a program has a comment for it; "" takes the comment away.
func Put(program, place, piece string) string {
	before, after, found := strings.Cut(program, "# @"+place+"@\n")
	if !found {
		panic("stages: there is no place " + place)
	}
	return before + piece + after
}
