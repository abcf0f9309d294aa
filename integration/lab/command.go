//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Cmd is an exec.Cmd whose process starts in a host. Only the methods below
// start it there; everything else, pipes and fields included, is as in exec.Cmd.
// A command that still runs when the host ends is killed and waited for.
type Cmd struct {
	*exec.Cmd
	host *Running

	// Guards the one call of exec.Cmd.Wait: the caller and the end of the host may both
	// wait for the command.
	waitOnce sync.Once
	waitErr  error
}

// Command prepares a command to be run as root in the host, with a clean login
// environment, / as directory and a session of its own. A name without a slash
// is looked up in the host.
func (r *Running) Command(ctx context.Context, argv ...string) *Cmd {
	return r.CommandAs(ctx, "root", argv...)
}

// CommandAs is like Command for another user, in that user's home directory. It makes no PAM
// session.
func (r *Running) CommandAs(ctx context.Context, user string, argv ...string) *Cmd {
	if len(argv) == 0 {
		argv = []string{""}
	}
	var acct account
	file, dir := "", "/"
	err := r.gate.do(func() (err error) {
		if acct, err = lookupAccount(user); err != nil {
			return err
		}
		if acct.uid == 0 {
			dir = "/"
		} else if _, err := os.Stat(acct.home); err == nil {
			dir = acct.home
		}
		file, err = lookPath(argv[0])
		return err
	})
	cmd := exec.CommandContext(ctx, "/", argv[1:]...)
	cmd.Path, cmd.Args[0] = file, argv[0]
	cmd.Err = err
	cmd.Dir = dir
	cmd.Env = r.environ(acct)
	// A session of its own keeps the terminal of the person who runs the tests out of
	// reach of sudo's and ssh's prompts.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if acct.uid != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: acct.uid, Gid: acct.gid, Groups: acct.groups}
	}
	if len(r.host.Limits) > 0 && err == nil {
		r.limit(cmd)
	}
	// A daemon that holds the output pipe open must not hold up Wait.
	cmd.WaitDelay = time.Second
	return &Cmd{Cmd: cmd, host: r}
}

// limitName is argv[0] of the test binary when it sets resource limits and then executes another
// program. os/exec cannot set them for a child.
const limitName = "lab-limit"

// limit has cmd set the host's resource limits before it executes its program.
func (r *Running) limit(cmd *exec.Cmd) {
	limits, err := json.Marshal(r.host.Limits)
	if err == nil {
		cmd.Args = append([]string{limitName, string(limits), cmd.Path}, cmd.Args...)
		cmd.Path, err = os.Executable()
	}
	cmd.Err = err
}

// execLimited is the test binary's part of limit, in the host.
func execLimited(encoded, file string, argv []string) error {
	var limits map[int]unix.Rlimit
	if err := json.Unmarshal([]byte(encoded), &limits); err != nil {
		return err
	}
	for which, limit := range limits {
		if err := unix.Setrlimit(which, &limit); err != nil {
			return fmt.Errorf("set limit %d: %w", which, err)
		}
	}
	return fmt.Errorf("execute %s: %w", file, syscall.Exec(file, argv, os.Environ()))
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lookPath is exec.LookPath on the gate's thread, with the host's PATH.
func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(searchPath, ":") {
		file := path.Join(dir, name)
		if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// environ is a login's environment. Later entries win.
func (r *Running) environ(acct account) []string {
	env := []string{
		"PATH=" + searchPath, "HOME=" + acct.home, "USER=" + acct.name,
		"LOGNAME=" + acct.name, "SHELL=" + acct.shell, "TERM=dumb",
	}
	if r.host.Lang != "" {
		env = append(env, "LANG="+r.host.Lang)
	}
	for name, value := range r.host.Env {
		env = append(env, name+"="+value)
	}
	return env
}

// Start starts the command in the host.
func (c *Cmd) Start() error {
	return c.host.startCmd(c)
}

// Wait is exec.Cmd.Wait; it may be called more than once.
func (c *Cmd) Wait() error {
	if c.Process == nil {
		return errors.New("lab: not started")
	}
	c.waitOnce.Do(func() {
		c.waitErr = c.Cmd.Wait()
		c.host.forgetCmd(c)
	})
	return c.waitErr
}

// Run starts the command and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the command and returns its standard output and error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// StartPty starts the command on a new terminal of the host, as its controlling
// terminal, and returns the other side of it. The caller closes that.
func (c *Cmd) StartPty() (*os.File, error) {
	master, slave, err := c.host.openPty()
	if err != nil {
		return nil, fmt.Errorf("lab: open terminal: %w", err)
	}
	defer slave.Close()
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr.Setctty, c.SysProcAttr.Ctty = true, 0
	if err := c.Start(); err != nil {
		master.Close()
		return nil, err
	}
	return master, nil
}

// openPty makes a terminal in the host's own devpts.
func (r *Running) openPty() (master, slave *os.File, err error) {
	err = r.gate.do(func() error {
		// Non-blocking, so that os.File can give the reader deadlines and Close wakes it.
		fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			unix.Close(fd)
			return err
		}
		peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
		if errno != 0 {
			unix.Close(fd)
			return errno
		}
		master, slave = os.NewFile(uintptr(fd), "ptmx"), os.NewFile(peer, "pts")
		return nil
	})
	return master, slave, err
}

// Exec runs a command as root in the host and returns its output, standard error
// included. The error of a failed command carries the output too.
func (r *Running) Exec(ctx context.Context, argv ...string) (string, error) {
	return r.ExecAs(ctx, "root", argv...)
}

// ExecAs is Exec as another user.
func (r *Running) ExecAs(ctx context.Context, user string, argv ...string) (string, error) {
	out, err := r.CommandAs(ctx, user, argv...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("lab: %s: %v: %w: %s", r.Name(), argv, err, bytes.TrimSpace(out))
	}
	return string(out), err
}

// Shell runs a script as root with the host's /bin/sh.
func (r *Running) Shell(script string) (string, error) {
	return r.Exec(context.Background(), "/bin/sh", "-c", script)
}

// startCmd starts c from the gate and remembers it. The kernel does not let pid 1 finish before
// every process of the host is reaped. So close has to wait for a command that its owner
// forgets.
func (r *Running) startCmd(c *Cmd) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errHostEnded
	}
	if err := r.gate.do(c.Cmd.Start); err != nil {
		return err
	}
	r.commands[c] = struct{}{}
	return nil
}

func (r *Running) forgetCmd(c *Cmd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.commands, c)
}
