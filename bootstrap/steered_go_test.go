//go:build linux

package bootstrap

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// goVariables would end, slow down or make talkative every program of Go that is started
// with them.
var goVariables = []string{
	"GODEBUG=inittrace=1,gctrace=1,fips140=only", "GOGC=1", "GOMAXPROCS=1", "GOMEMLIMIT=zz", "GOTRACEBACK=crash $x \" '\nand more",
}

// orderGoEnvironment has the child print what it and a program of its own have.
const orderGoEnvironment = `run /usr/bin/env|grep -a -e ^GO -e ^MITOSIS_GO -e "^and more";echo END`

func checkGoEnvironment(t *testing.T, s *Session) {
	t.Helper()
	want := []string{"GODEBUG=inittrace=1,gctrace=1,fips140=only", "GOFLAGS=-x", "GOGC=1", "GOMAXPROCS=1", "GOMEMLIMIT=zz", "GOMEMLIMITS=",
		"GORACE=atexit_sleep_ms=0", "GOTRACEBACK=crash $x \" '", "and more"}
	if got := environment(t, s); !slices.Equal(got, want) {
		t.Errorf("the child's commands have the variables\n%q, want\n%q", got, want)
	}
}

// Variables of the environment that the Go runtime reads do not reach the copy of a
// program, and reach the commands that are started there.
func TestEnvironmentDoesNotSteerTheRuntime(t *testing.T) {
	needRoot(t)
	for _, shell := range systemShells {
		for _, method := range slices.Concat([]string{StartExec}, startMethods) {
			t.Run(shell[len(shell)-1]+" "+shell[0]+" "+method, func(t *testing.T) {
				t.Parallel()
				o := opts()
				o.StartMethods = []string{method}
				o.Same = method == StartExec
				l := NewLaunch(o)
				cmd := asSystemShell(t, shell, l.script())
				cmd.Env = append(cmd.Environ(), goVariables...)
				cmd.Env = append(cmd.Env, "GOFLAGS=-x", "GOMEMLIMITS=")
				s := born(t, l, start(t, cmd), orderGoEnvironment)
				if s.StartMethod != method {
					t.Errorf("start method %s, want %s", s.StartMethod, method)
				}
				if s.Said != "" {
					t.Errorf("the runtime has said %q", s.Said)
				}
				checkGoEnvironment(t, s)
			})
		}
	}
}

// A copy in the cache is not executed where a variable would end it, and another is sent.
func TestRuntimeThatDoesNotStartFromTheCache(t *testing.T) {
	f := newFar(t)
	if _, kept, _ := f.contact(t, opts(), true); kept != keptWell {
		t.Fatal(kept)
	}
	t.Setenv("GOGC", "1")
	if method, _, _ := f.contact(t, opts(), false); method != StartCache {
		t.Errorf("with GOGC: start method %s, want that of the cache", method)
	}
	t.Setenv("GOMEMLIMIT", "zz")
	if method, _, _ := f.contact(t, opts(), false); method == StartCache {
		t.Error("with a malformed GOMEMLIMIT: a program was started that can't start")
	}
}

// A child that is started directly is no different.
func TestEnvironmentDoesNotSteerADirectChild(t *testing.T) {
	for _, entry := range append(slices.Clone(goVariables), "GOFLAGS=-x", "GOMEMLIMITS=") {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	l := NewLaunch(opts())
	path, argv := l.Exec()
	cmd := &exec.Cmd{Path: path, Args: argv}
	cmd.Env = append(cmd.Environ(), ExecEnviron()...)
	c := start(t, cmd)
	checkGoEnvironment(t, born(t, l, c, orderGoEnvironment))
	if said := c.stderr.String(); said != "" {
		t.Errorf("the runtime has said %q", said)
	}
}
