package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// Command is a command that runs at the end of a hop path. Its fields are those of
// contexts.Command.
type Command struct {
	Path  string   // of hops
	Pool  string   // the name of a pool; "" is the one for all
	Argv  []string // the program and its arguments
	Shell bool     // the user's login shell, with Argv as its arguments

	Env       map[string]string
	ClearEnv  bool
	LoginEnv  bool
	SourceEnv string
	Dir       string

	// Stdin is read as the command reads its input. A Read may be under way when Run has returned.
	Stdin          io.Reader
	Stdout, Stderr io.Writer // Merge has both go to Stdout
	Merge          bool
	Pty            *Pty
	KeepJobs       bool

	// Prompt answers the questions of hops, Notify shows their notices. nil: a secret that is
	// missing is an error.
	Prompt func(context.Context, connect.Prompt) (string, error)
	Notify func(context.Context, connect.Notice)
	// Started, if not nil, is called when the command runs.
	Started func(pid int)

	mu  sync.Mutex
	out *wire.Writer // guarded by mu: nil when it does not run; mu is held for writing
}

// Pty is the size of a terminal, in characters, and its kind.
type Pty = wire.Pty

// End is how a command has ended.
type End struct {
	Code   int    // -1 if a signal ended it
	Signal string // without SIG, "" if none ended it
	Status int    // as a shell has it in $?
}

// Run runs a command and waits for its end. If it could be started, the end is not nil, and the
// error is that of its output or of ctx. Failures are *[Error], unless the broker is gone.
func (c *Client) Run(ctx context.Context, cmd *Command) (*End, error) {
	c.turn.Lock()
	defer c.turn.Unlock()
	q := wire.ClientFrame{
		Op: "exec", Path: cmd.Path, Pool: cmd.Pool, Argv: cmd.Argv, Shell: cmd.Shell, Env: cmd.Env, ClearEnv: cmd.ClearEnv, LoginEnv: cmd.LoginEnv,
		SourceEnv: cmd.SourceEnv, Dir: cmd.Dir, Stdin: cmd.Stdin != nil, Merge: cmd.Merge, Pty: cmd.Pty, KeepJobs: cmd.KeepJobs, Prompts: cmd.Prompt != nil || cmd.Notify != nil,
	}
	if err := c.out.Write(wire.Frame{Header: q}); err != nil {
		return nil, fmt.Errorf("the broker is gone: %w", err)
	}
	cmd.setOut(c.out)
	defer cmd.setOut(nil)
	r := &running{c: c, cmd: cmd, credit: newCredit(wire.InputCredit)}
	var stop func() bool
	r.ctx, r.cancel = context.WithCancel(ctx)
	stop = context.AfterFunc(ctx, func() { _ = cmd.send(wire.ClientFrame{Cancel: true}, nil) })
	defer stop()
	if cmd.Stdin != nil {
		go r.sendInput() // which may stay in one Read of Stdin
	}
	end, err := r.receive()
	r.cancel()
	r.credit.close()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return end, err
}

func (cmd *Command) setOut(w *wire.Writer) {
	cmd.mu.Lock()
	defer cmd.mu.Unlock()
	cmd.out = w
}

// ErrNotStarted says that a command does not run, or not any more.
var ErrNotStarted = errors.New("the command does not run")

// send sends a frame that belongs to the command. None is sent after its end: the next command would
// take it for its own.
func (cmd *Command) send(f wire.ClientFrame, body []byte) error {
	cmd.mu.Lock()
	defer cmd.mu.Unlock()
	if cmd.out == nil {
		return ErrNotStarted
	}
	return cmd.out.Write(wire.Frame{Header: f, Body: body})
}

// Signal sends a signal, such as "TERM", to the command, or to its process group.
func (cmd *Command) Signal(name string, group bool) error {
	return cmd.send(wire.ClientFrame{Signal: name, Group: group}, nil)
}

// Resize changes the size of the terminal.
func (cmd *Command) Resize(rows, cols int) error {
	return cmd.send(wire.ClientFrame{Resize: &Pty{Rows: rows, Cols: cols}}, nil)
}

// running is a command that runs.
type running struct {
	c      *Client
	cmd    *Command
	ctx    context.Context // ends with the command
	cancel context.CancelFunc
	credit *credit
}

// receive reads frames up to the last one.
func (r *running) receive() (*End, error) {
	var failed error // of an output here
	for {
		var f struct {
			wire.BrokerFrame
			Status int `json:"status"`
		}
		body, err := r.c.in.Next(&f, wire.MaxHeader, wire.MaxBody)
		if err != nil {
			return nil, fmt.Errorf("the broker is gone: %w", err)
		}
		switch {
		case f.OK != nil:
			var end *End
			if f.Code != nil {
				end = &End{Code: *f.Code, Status: f.Status}
				if f.Signal != nil {
					end.Signal = *f.Signal
				}
			}
			if f.Error != nil {
				return end, (*Error)(f.Error)
			}
			return end, failed
		case f.Stream != "" && f.Credit > 0:
			r.credit.add(f.Credit)
		case f.Stream != "" && failed == nil:
			w := r.cmd.Stdout
			if f.Stream == "stderr" {
				w = r.cmd.Stderr
			}
			if w == nil || len(body) == 0 {
				continue
			}
			if _, failed = w.Write(body); failed != nil {
				// Nobody reads its output any more: it ends as with a closed pipe.
				_ = r.cmd.Signal("PIPE", true)
			}
		case f.Prompt != nil:
			go r.answer(*f.Prompt)
		case f.Notice != nil && r.cmd.Notify != nil:
			r.cmd.Notify(r.ctx, connect.Notice{Path: f.Notice.Path, Text: f.Notice.Text})
		case f.Event == "started" && r.cmd.Started != nil:
			r.cmd.Started(f.PID)
		}
	}
}

// answer gets the answer to a question.
func (r *running) answer(p wire.Prompt) {
	f := wire.ClientFrame{Answer: &p.ID}
	var text string
	err := ErrNotStarted
	if r.cmd.Prompt != nil {
		text, err = r.cmd.Prompt(r.ctx, connect.Prompt{Kind: wire.PromptKindOf(p.Kind), Path: p.Path, Text: p.Text, Echo: p.Echo, Attempt: p.Attempt})
	}
	f.Refused = err != nil
	_ = r.cmd.send(f, []byte(text))
}

// sendInput sends Stdin as the broker gives credit.
func (r *running) sendInput() {
	buf := make([]byte, wire.MaxData)
	for {
		n, ok := r.credit.take(len(buf))
		if !ok {
			return
		}
		got, err := r.cmd.Stdin.Read(buf[:n])
		r.credit.add(int64(n - got))
		if got > 0 || err != nil {
			w := r.cmd.send(wire.ClientFrame{Stream: "stdin", End: errors.Is(err, io.EOF)}, buf[:got])
			if w != nil || errors.Is(err, io.EOF) {
				return
			}
		}
		if err != nil { // it must not take a part of its input for the whole
			_ = r.cmd.send(wire.ClientFrame{Cancel: true}, nil)
			return
		}
	}
}

// credit is what may be sent, in bytes.
type credit struct {
	mu    sync.Mutex
	wake  sync.Cond
	bytes int64 // guarded by mu
	ended bool  // guarded by mu
}

func newCredit(n int64) *credit {
	c := &credit{bytes: n}
	c.wake.L = &c.mu
	return c
}

func (c *credit) add(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += n
	c.wake.Signal()
}

// take waits for credit and takes at most so much. It reports false when the command has ended.
func (c *credit) take(most int) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.bytes == 0 && !c.ended {
		c.wake.Wait()
	}
	n := min(c.bytes, int64(most))
	c.bytes -= n
	return int(n), !c.ended
}

func (c *credit) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.wake.Broadcast()
}
