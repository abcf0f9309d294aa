package main

import (
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
)

func TestMain(m *testing.M) {
	contexts.Init()
	os.Exit(m.Run())
}

func TestExitStatus(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	for line, want := range map[string]int{
		"":                                      exitUsage,
		"run":                                   exitUsage,
		"walk local -- true":                    exitUsage,
		"run local":                             exitUsage,
		"run -- true":                           exitUsage,
		"run local --":                          exitUsage,
		"run -x local -- true":                  exitUsage,
		"run nothing:x -- true":                 exitUsage,
		"shell -t local":                        exitUsage,
		"probe nothing:x":                       exitUsage,
		"version":                               0,
		"help":                                  0,
		"run local -- true":                     0,
		"run local/local local -- sh -c exit|7": 7,
		"run local -- sh -c kill|$$":            128 + 15,
		"run -e S=3 local -- sh -c exit|$S":     3,
		"run -C /none local -- true":            exitNotFound,
		"run local -- no-such-program":          exitNotFound,
		"run local -- /":                        exitCannotExecute,
		"run ssh:127.0.0.1:1 -- true":           exitHop,
		"ssh":                                   exitUsage,
		"ssh nothing:x":                         exitUsage,
		"ssh local -n exit 7":                   7,
		"ssh local/local -n kill -9 $$":         255,
		"with local":                            exitUsage,
		"with -- true":                          exitUsage,
		"with local -- sh -c ssh|any|exit|7":    7,
		"with a=local -- ssh b true":            exitHop,
		"with local -- no-such-program":         exitNotFound,
	} {
		var args []string
		for _, a := range strings.Fields(line) {
			args = append(args, strings.ReplaceAll(a, "|", " "))
		}
		if got := run(args, io.Discard, io.Discard); got != want {
			t.Errorf("%q: status %d, not %d", line, got, want)
		}
	}
}
