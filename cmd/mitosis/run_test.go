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

// Who asks for help gets it on standard output, whoever needs it on the other.
func TestHelp(t *testing.T) {
	for _, c := range newProgram(nil, nil).of {
		var out, errOut strings.Builder
		if got := execute([]string{"help", c.command.Name()}, &out, &errOut); got != 0 || errOut.Len() > 0 || !strings.HasPrefix(out.String(), "usage: mitosis "+c.use) {
			t.Errorf("help %s: status %d, %q, %q", c.use, got, &out, &errOut)
		}
		if !strings.Contains(newProgram(nil, nil).overview(), "  mitosis "+c.use+" ") {
			t.Errorf("the overview has no %s", c.use)
		}
		for line := range strings.Lines(out.String()) {
			if len(line) > 90 {
				t.Errorf("help %s has a line of %d bytes: %s", c.use, len(line), line)
			}
		}
	}
	for _, args := range [][]string{nil, {"walk"}, {"help", "walk"}, {"put", "local"}} {
		var out, errOut strings.Builder
		if got := execute(args, &out, &errOut); got != exitUsage || out.Len() > 0 || errOut.Len() == 0 {
			t.Errorf("%q: status %d, %q, %q", args, got, &out, &errOut)
		}
	}
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
		"--version":                             0,
		"-V":                                    0,
		"-v":                                    exitUsage,
		"version now":                           exitUsage,
		"completion bash":                       0,
		"completion":                            0,
		"help":                                  0,
		"--help":                                0,
		"help put":                              0,
		"help walk":                             exitUsage,
		"help put get":                          exitUsage,
		"put -h":                                0,
		"run -h":                                0,
		"put local /etc/passwd":                 exitUsage,
		"put nothing:x a b":                     exitUsage,
		"put local /no/such/file /none":         exitError,
		"put ssh:127.0.0.1:1 /etc/passwd /none": exitHop,
		"get local /no/such/file /none":         exitError,
		"forward local":                         exitUsage,
		"forward -L 80":                         exitUsage,
		"forward local -L 80":                   exitUsage,
		"forward local -D 80:web:80":            exitUsage,
		"forward -L 80:web:80":                  exitUsage,
		"forward local -D 192.0.2.1:1":          exitError,
		"forward local -R 192.0.2.1:1":          exitError,
		"forward ssh:127.0.0.1:1 -D 0":          exitHop,
		"socks":                                 exitUsage,
		"socks local 80 90":                     exitUsage,
		"socks local x":                         exitUsage,
		"run local -- true":                     0,
		"run local/local -- sh -c exit|7":       7,
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
		if got := execute(args, io.Discard, io.Discard); got != want {
			t.Errorf("%q: status %d, not %d", line, got, want)
		}
	}
}
