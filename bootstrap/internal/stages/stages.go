// Package stages has the programs that a bootstrap runs at a far side, in shell, perl
// and python. They are files with comments, and are sent without: see [Shell], [Perl]
// and [Python].
//
// In all of them a word between two @ is filled in by the caller. A comment that is such a
// word alone stands for a piece that may be put there (see [Put]).
package stages

import (
	"embed"
	"strings"
	"sync"
)

//go:embed *.sh *.pl *.py
var files embed.FS

// sent are the programs and parts as they are sent, made at the first use.
var sent struct {
	sync.Mutex
	all map[string]string
}

// once returns what make makes of a file, which it does once.
func once(key, file string, minify func(string) string) string {
	sent.Lock()
	defer sent.Unlock()
	if text, ok := sent.all[key]; ok {
		return text
	}
	source, err := files.ReadFile(file)
	if err != nil {
		panic(err) // it is a name in this program
	}
	text := minify(string(source))
	if sent.all == nil {
		sent.all = make(map[string]string)
	}
	sent.all[key] = text
	return text
}

// Shell is a part of a file for sh, as one line without a semicolon at its end.
func Shell(file, part string) string {
	return once(file+"#"+part, file, func(source string) string { return minifyShell(partOf(source, part)) })
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
