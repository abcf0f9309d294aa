//go:build unix

package fakessh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/contexts"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
)

// runCommand runs the command as sshd does: by the user's shell. Without a command it runs a
// login shell.
func (c *call) runCommand() (int, error) {
	l := c.line
	cmd := c.node.LoginShell(c.ctx)
	if l.Command != "" {
		cmd = c.node.LoginShell(c.ctx, "-c", l.Command)
	}
	agent, end := c.forwardAgent()
	defer end()
	cmd.Env, cmd.KeepJobs = append(c.sent(), agent...), c.p.hosts.KeepJobs
	stdout, stderr := newOutput(c.fds[1], c.wake), newOutput(c.fds[2], c.wake)
	defer stdout.release()
	defer stderr.release()
	if !l.StdinNull {
		// A copy, since the file closes it.
		fd, err := unix.FcntlInt(uintptr(c.fds[0]), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return 0, err
		}
		in := os.NewFile(uintptr(fd), "standard input")
		defer in.Close()
		cmd.Stdin = in
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// Like sshd, it waits for all processes that have the output open.
	cmd.WaitDelay = -1
	if c.wantsTerminal() {
		cmd.Pty = &contexts.Pty{Rows: int(c.hello.Rows), Cols: int(c.hello.Cols), Term: c.env("TERM")}
		cmd.Stderr, cmd.WaitDelay = nil, 0
	}
	if err := cmd.Start(); err != nil {
		return 0, reason(err)
	}
	c.commands <- cmd
	c.takeInput(cmd.Pty != nil)
	err := cmd.Wait()
	if cause, ok := errors.AsType[caughtError](context.Cause(c.ctx)); ok {
		return 0, fmt.Errorf("%w", cause)
	}
	state := cmd.ProcessState
	switch {
	case state == nil || c.ctx.Err() != nil:
		return 0, reason(err)
	case state.Signal != 0:
		return shim.ExitFailed, nil
	}
	return state.Code, nil
}

// wantsTerminal reports whether the command is to have a terminal.
func (c *call) wantsTerminal() bool {
	l := c.line
	wanted := l.TTY == TTYYes || l.TTY == TTYForce || l.TTY == TTYAuto && l.Command == ""
	if !wanted || l.TTY == TTYForce || c.isTerminal(0) && !l.StdinNull {
		return wanted
	}
	c.say(LevelInfo, "Pseudo-terminal will not be allocated because stdin is not a terminal.")
	return false
}

// takeInput tells the shim to pass its input on, if that is a terminal.
func (c *call) takeInput(raw bool) {
	if !c.isTerminal(0) || c.line.StdinNull {
		return
	}
	kind := shim.NewsInput
	if raw {
		kind = shim.NewsRaw
	}
	_ = c.news.Send(shim.News{Kind: kind})
}

// reason removes the operation from an error: the user has not called it.
func reason(err error) error {
	if e, ok := err.(*contexts.Error); ok && e.Err != nil {
		return fmt.Errorf("%s: %w", e.Path, e.Err)
	}
	return err
}

// subsystem serves sftp, the only subsystem.
func (c *call) subsystem() (int, error) {
	if c.line.Command != "sftp" {
		return 0, &UsageError{"subsystem request failed on channel 0"}
	}
	conn, err := serveSFTP.Dial(c.ctx, c.node, struct{}{})
	if err != nil {
		return 0, reason(err)
	}
	return 0, c.join(conn)
}

// join connects standard input and output with a connection, until that ends.
func (c *call) join(conn net.Conn) error {
	defer conn.Close()
	defer context.AfterFunc(c.ctx, func() { conn.Close() })()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	wake, release, err := wakeAfter(ctx) // when nothing is to be read any more
	if err != nil {
		return err
	}
	defer release()
	c.takeInput(false)
	in, out := &shimFile{fd: c.fds[0], own: -1, wake: wake}, newOutput(c.fds[1], c.wake)
	defer out.release()
	ended := make(chan struct{}) // closed when nothing is read any more
	go func() {
		defer close(ended)
		if c.line.StdinNull {
			return
		}
		if _, err := io.Copy(conn, in); err == nil {
			if w, ok := conn.(interface{ CloseWrite() error }); ok {
				_ = w.CloseWrite()
			}
		}
	}()
	_, err = io.Copy(out, conn)
	cancel()
	<-ended
	if errors.Is(err, unix.EPIPE) {
		return nil
	}
	return err
}
