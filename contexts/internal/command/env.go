package command

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// environment returns the environment of the process.
func (p *process) environment() ([]string, error) {
	q := &p.q
	env := []string{} // not nil, which would be our own
	switch {
	case q.Flags&LoginEnv != 0 || len(q.SourceEnv) > 0:
		captured, err := p.host.Profiles.get(p.ctx, profile{q.Flags&LoginEnv != 0, string(q.SourceEnv)})
		if err != nil {
			return nil, err
		}
		env = append(env, captured...)
	case q.Flags&ClearEnv == 0:
		env = append(env, os.Environ()...)
	}
	if q.Flags&Shell != 0 {
		_, _, set := account()
		env = append(env, set...)
	}
	if q.Flags&ClearEnv == 0 {
		if len(q.Dir) > 0 && filepath.IsAbs(string(q.Dir)) {
			env = append(env, "PWD="+string(q.Dir))
		}
		if q.Pty != nil {
			env = append(env, "TERM="+string(q.Pty.Term))
		}
	}
	for _, e := range q.Env {
		env = append(env, string(e))
	}
	if q.Flags&KeepJobs != 0 {
		env = bootstrap.Unmarked(env)
	}
	return env, nil
}

// profile says how an environment is made: by a login, by a file, or by both.
type profile struct {
	login  bool
	source string
}

// Profiles are the environments that profiles made in a context.
//
// Goroutines: one for each environment that is being made, which ends with ctx.
type Profiles struct {
	ctx     context.Context
	finding sync.WaitGroup

	mu    sync.Mutex
	known map[profile]*captured
	ended bool // Wait has been called
}

// captured is an environment, which may still be under way.
type captured struct {
	done chan struct{} // closed when env and err are set
	env  []string
	err  error
}

// The bounds of the making of an environment: a profile may wait for ever, or print without
// end.
const (
	profileTime = 20 * time.Second
	profileSize = 4 << 20 // bytes
	maxProfiles = 256
)

// NewProfiles makes Profiles of a context that ends with ctx.
func NewProfiles(ctx context.Context) *Profiles { return &Profiles{ctx: ctx} }

// Wait waits for all goroutines, once ctx has ended.
func (s *Profiles) Wait() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.finding.Wait()
}

// get returns an environment. Callers that want the same one at the same time share the
// work. A failure is not kept.
func (s *Profiles) get(ctx context.Context, p profile) ([]string, error) {
	s.mu.Lock()
	c := s.known[p]
	if c == nil && s.ended {
		s.mu.Unlock()
		return nil, context.Cause(s.ctx)
	}
	if c == nil {
		if s.known == nil || len(s.known) >= maxProfiles {
			s.known = make(map[profile]*captured)
		}
		c = &captured{done: make(chan struct{})}
		s.known[p] = c
		s.finding.Go(func() {
			c.env, c.err = s.find(p)
			if c.err != nil {
				s.mu.Lock()
				if s.known[p] == c {
					delete(s.known, p)
				}
				s.mu.Unlock()
			}
			close(c.done)
		})
	}
	s.mu.Unlock()
	select {
	case <-c.done:
		return c.env, c.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// find makes an environment: that after login, or the one that a file makes of that or of
// ours.
func (s *Profiles) find(p profile) ([]string, error) {
	shell, _, set := account()
	env := append(os.Environ(), set...)
	if p.source == "" {
		return capture(s.ctx, "the login environment", true, shell, "", env)
	}
	if p.login {
		var err error
		if env, err = s.get(s.ctx, profile{login: true}); err != nil {
			return nil, err
		}
	}
	if !bourne(shell) {
		shell = "/bin/sh"
	}
	// "." searches PATH for a name without a slash.
	if !strings.Contains(p.source, "/") {
		p.source = "./" + p.source
	}
	return capture(s.ctx, "the environment that "+p.source+" makes", false, shell, p.source, env)
}

// capture has a shell make an environment out of another, and print it between two markers.
// Text that the profile prints is in front of them or behind them.
func capture(life context.Context, what string, login bool, shell, source string, env []string) ([]string, error) {
	marker := "mitosis-" + rand.Text()
	// All shells understand this.
	script := "echo " + marker + "; env -0; echo " + marker
	args := []string{"-c", script}
	if source != "" {
		args = []string{"-c", `. "$1" && ` + script, "sh", source}
	}
	argv0 := filepath.Base(shell)
	switch {
	case !login:
	case strings.HasSuffix(argv0, "csh"):
		argv0 = "-" + argv0 // it wants -l to stand alone
	default:
		args = append([]string{"-l"}, args...)
	}
	ctx, cancel := context.WithTimeout(life, profileTime)
	defer cancel()
	out, said := &bounded{max: profileSize, full: cancel}, new(Tail)
	cmd := exec.CommandContext(ctx, shell, args...)
	cmd.Args[0], cmd.Env, cmd.Stdout, cmd.Stderr = argv0, env, out, said
	ownSession(cmd, false, false)
	cmd.WaitDelay = 100 * time.Millisecond // the profile may have left processes that have the output open
	err := cmd.Run()
	if captured, ok := between(out.b, marker); ok {
		return captured, nil
	}
	switch {
	case life.Err() != nil:
		err = context.Cause(life)
	case ctx.Err() != nil && len(out.b) >= profileSize:
		err = fmt.Errorf("it printed more than %d MiB", profileSize>>20)
	case ctx.Err() != nil:
		err = fmt.Errorf("it took longer than %v: %w", profileTime, os.ErrDeadlineExceeded)
	case err == nil:
		err = errors.New("nothing was printed")
	}
	if words := strings.TrimSpace(string(said.Bytes())); words != "" {
		err = fmt.Errorf("%w: %s", err, words)
	}
	return nil, fmt.Errorf("finding out %s by %s: %w", what, shell, err)
}

// between reads the environment that "env -0" printed between the markers, without the
// variables that hold for that shell only.
func between(out []byte, marker string) ([]string, bool) {
	line := []byte(marker + "\n")
	_, rest, ok := bytes.Cut(out, line)
	if !ok {
		return nil, false
	}
	list, _, ok := bytes.Cut(rest, line)
	if !ok {
		return nil, false
	}
	env := []string{}
	for e := range bytes.SplitSeq(list, []byte{0}) {
		name, _, ok := bytes.Cut(e, []byte{'='})
		if ok && len(name) > 0 && !slices.Contains([]string{"_", "SHLVL", "PWD", "OLDPWD"}, string(name)) {
			env = append(env, string(e))
		}
	}
	return env, len(env) > 0
}

// account returns the login shell and the home directory of our user, as the
// password file has them, and the variables that a login sets.
func account() (shell, home string, set []string) {
	shell, home = os.Getenv("SHELL"), os.Getenv("HOME")
	uid := strconv.Itoa(os.Getuid())
	list, _ := os.ReadFile("/etc/passwd")
	for line := range strings.Lines(string(list)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 7 && f[2] == uid {
			shell, home = f[6], f[5]
			set = []string{"USER=" + f[0], "LOGNAME=" + f[0]}
			break
		}
	}
	if base := filepath.Base(shell); !filepath.IsAbs(shell) || base == "nologin" || base == "false" {
		shell = "/bin/sh"
	}
	return shell, home, append(set, "HOME="+home, "SHELL="+shell)
}

// bourne reports whether a shell understands scripts for sh.
func bourne(shell string) bool {
	return slices.Contains([]string{"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"}, filepath.Base(shell))
}

// bounded keeps the first max bytes that are written, and calls full when it has them.
type bounded struct {
	b    []byte
	max  int
	full func()
}

func (w *bounded) Write(b []byte) (int, error) {
	w.b = append(w.b, b[:min(len(b), w.max-len(w.b))]...)
	if len(w.b) == w.max {
		w.full()
	}
	return len(b), nil
}
