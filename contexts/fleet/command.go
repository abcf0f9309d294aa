package fleet

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/mitosis-go/mitosis/contexts"
)

// A Command is what [Run] runs on each member.
type Command struct {
	// Args are the program and its arguments; no shell reads them.
	Args []string
	// Make, if not nil, changes the command before it starts: its environment, directory,
	// input. Stdout and Stderr are set already, and stay.
	Make func(m *Member, c *contexts.Command) error
	// Line, if not nil, is called with each line that a member prints, without its end. A
	// line that is longer than 64 KiB comes in pieces. The calls come one at a time.
	Line func(m *Member, l Line)
	// Keep bounds how many bytes of each of the two outputs of a member are kept; of more the
	// last ones are. Default: 64 KiB. Less than 0 keeps nothing.
	Keep int
}

// Line is a line of a member's output. Text is valid during the call.
type Line struct {
	Text   []byte
	Stderr bool
}

// Output is what a command printed, and how it ended.
type Output struct {
	Stdout, Stderr           []byte // what was kept: the last bytes
	StdoutBytes, StderrBytes int64  // all that it printed
	ExitStatus               int    // -1 where it did not exit by itself
}

const (
	defaultKeep = 64 << 10
	longestLine = 64 << 10
)

// Run runs a command on all members. It is [Call] for a command: the error of a member is
// that of [contexts.Command.Wait], an [*contexts.ExitError] where it ended with a status
// other than 0, and its Output is there in this case, too.
func Run(ctx context.Context, g *Group, c Command) iter.Seq2[*Member, Result[Output]] {
	if g.policy.Gather && c.Make == nil && c.Line == nil {
		return runGathered(ctx, g, c)
	}
	var telling sync.Mutex // held while Line is called
	return each(ctx, g, func(ctx context.Context, m *Member, n *contexts.Node) (Output, error) {
		return c.run(ctx, m, n, &telling)
	})
}

// run runs the command on one member.
func (c *Command) run(ctx context.Context, m *Member, n *contexts.Node, telling *sync.Mutex) (Output, error) {
	if len(c.Args) == 0 {
		return Output{}, errors.New("fleet: the command has no program")
	}
	cmd := n.Command(ctx, c.Args[0], c.Args[1:]...)
	out := newCollector(c, m, false, telling)
	errOut := newCollector(c, m, true, telling)
	if c.Make != nil {
		if err := c.Make(m, cmd); err != nil {
			return Output{}, err
		}
	}
	cmd.Stdout, cmd.Stderr = out, errOut
	err := cmd.Run()
	out.end()
	errOut.end()
	o := Output{Stdout: out.kept(), Stderr: errOut.kept(), StdoutBytes: out.bytes, StderrBytes: errOut.bytes, ExitStatus: -1}
	if cmd.ProcessState != nil {
		o.ExitStatus = cmd.ProcessState.Code
	}
	return o, err
}

// collector takes one output of one member: it keeps the end of it and cuts lines. One
// goroutine writes to it.
type collector struct {
	member  *Member
	stderr  bool
	tell    func(m *Member, l Line)
	telling *sync.Mutex

	keep  int
	last  []byte // at most twice keep
	bytes int64
	line  []byte // that has not ended
}

func newCollector(c *Command, m *Member, stderr bool, telling *sync.Mutex) *collector {
	keep := c.Keep
	if keep == 0 {
		keep = defaultKeep
	}
	return &collector{member: m, stderr: stderr, tell: c.Line, telling: telling, keep: max(keep, 0)}
}

func (c *collector) Write(b []byte) (int, error) {
	c.bytes += int64(len(b))
	if len(b) >= c.keep {
		c.last = append(c.last[:0], b[len(b)-c.keep:]...)
	} else if c.last = append(c.last, b...); len(c.last) > 2*c.keep {
		c.last = append(c.last[:0], c.last[len(c.last)-c.keep:]...)
	}
	if c.tell != nil {
		c.cut(b)
	}
	return len(b), nil
}

// cut tells the lines in b, behind what is there of one already.
func (c *collector) cut(b []byte) {
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n')
		room := longestLine - len(c.line)
		switch {
		case max(n, 0) > room || n < 0 && len(b) > room:
			c.line = append(c.line, b[:room]...)
			b = b[room:]
			c.tellLine()
		case n < 0:
			c.line = append(c.line, b...)
			b = nil
		default:
			c.line = append(c.line, b[:n]...)
			b = b[n+1:]
			c.tellLine()
		}
	}
}

func (c *collector) tellLine() {
	c.telling.Lock()
	defer c.telling.Unlock()
	c.tell(c.member, Line{Text: c.line, Stderr: c.stderr})
	c.line = c.line[:0]
}

// end tells a last line that has no end.
func (c *collector) end() {
	if len(c.line) > 0 {
		c.tellLine()
	}
}

// kept returns the last bytes.
func (c *collector) kept() []byte { return bytes.Clone(c.last[max(0, len(c.last)-c.keep):]) }
