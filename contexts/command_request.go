package contexts

import (
	"cmp"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/command"
)

// request checks what can be checked here. Handles are filled in
// later.
func (c *Command) request() (command.Request, error) {
	var q command.Request
	if c.Path == "" {
		return q, fmt.Errorf("%w: no program is named", fs.ErrInvalid)
	}
	err := cmp.Or(noNUL("the program's name", c.Path), noNUL("Dir", c.Dir), noNUL("SourceEnv", c.SourceEnv))
	if err != nil {
		return q, err
	}
	for i, a := range c.Args {
		if err := noNUL(fmt.Sprintf("argument %d", i), a); err != nil {
			return q, err
		}
		q.Args = append(q.Args, []byte(a))
	}
	for _, e := range c.Env {
		name, _, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return q, fmt.Errorf("%w: %q in Env is not of the form NAME=value", fs.ErrInvalid, e)
		}
		if err := noNUL("the variable "+name, e); err != nil {
			return q, err
		}
		q.Env = append(q.Env, []byte(e))
	}
	if c.Pty != nil {
		p, err := c.Pty.wire()
		if err != nil {
			return q, err
		}
		if c.Stderr != nil && !sameWriter(c.Stdout, c.Stderr) {
			return q, fmt.Errorf("%w: with a Pty there is one output, which is Stdout", fs.ErrInvalid)
		}
		q.Pty = p
	}
	q.Path, q.Dir, q.SourceEnv = []byte(c.Path), []byte(c.Dir), []byte(c.SourceEnv)
	if c.ClearEnv {
		q.Flags |= command.ClearEnv
	}
	if c.LoginEnv {
		q.Flags |= command.LoginEnv
	}
	if c.shell {
		q.Flags |= command.Shell
	}
	if c.Stderr != nil && sameWriter(c.Stdout, c.Stderr) {
		q.Flags |= command.Merged
	}
	if c.KeepJobs {
		q.Flags |= command.KeepJobs
	}
	orDefault := func(d, def time.Duration) time.Duration {
		if d == 0 {
			return def
		}
		return d
	}
	q.WaitDelay = orDefault(c.WaitDelay, DefaultWaitDelay)
	q.KillDelay = orDefault(c.KillDelay, DefaultKillDelay)
	q.IdleTimeout = max(c.IdleTimeout, 0)
	if deadline, ok := c.ctx.Deadline(); ok {
		q.Timeout = max(time.Until(deadline), time.Microsecond)
	}
	return q, nil
}

func noNUL(what, s string) error {
	if strings.IndexByte(s, 0) < 0 {
		return nil
	}
	return fmt.Errorf("%w: %s has a NUL byte in it", fs.ErrInvalid, what)
}

// sameWriter compares writers, which may be of types that cannot be compared.
func sameWriter(a, b any) bool {
	defer func() { _ = recover() }()
	return a == b
}
