package connect

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// maxAttempts bounds how often a person is asked for the same password.
const maxAttempts = 3

// promptSettle is how long an unfinished line on a terminal without echo must
// stand before it counts as a prompt of a tool that ignores our token.
const promptSettle = 500 * time.Millisecond

// dialogue answers the prompts of one tool on its controlling terminal. The
// payload has its own pipe and never passes here.
type dialogue struct {
	// Immutable.
	ctx    context.Context // of the opening; ends the asking
	env    *Env
	master *os.File // our end of the terminal
	secret Secret   // "" where it has to be asked for
	path   string
	fail   func(error) // ends the tool, with the reason

	// Owned by run.
	match    matcher
	attempts int // answers that were typed

	mu   sync.Mutex
	said string // guarded by mu; what the tool said so far

	done chan struct{} // closed when run ends
}

// openTerminal makes the terminal that a tool will be controlled by.
func openTerminal() (master, slave *os.File, err error) {
	if master, slave, err = pty.Open(); err != nil {
		return nil, nil, err
	}
	_ = pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 500}) // so that prompts are not folded
	return master, slave, nil
}

// run reads the terminal until it is closed or the tool has ended.
func (d *dialogue) run() {
	defer close(d.done)
	chunks := make(chan []byte)
	go func() {
		defer close(chunks)
		for {
			b := make([]byte, 4096)
			n, err := d.master.Read(b)
			if n > 0 {
				chunks <- b[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	settle := time.NewTimer(time.Hour)
	defer settle.Stop()
	ready := d.env.Ready
	for {
		select {
		case b, ok := <-chunks:
			if !ok {
				return
			}
			d.match.feed(b)
			d.keepSaid()
			if ready == nil {
				continue // no prompt is expected any more
			}
			settle.Reset(promptSettle)
			if _, byToken, ok := d.match.prompt(); ok && byToken && !d.echoes() {
				d.answer("")
			}
		case <-settle.C:
			if text, byToken, ok := d.match.prompt(); ready != nil && ok && !d.echoes() {
				if byToken {
					text = ""
				}
				d.answer(text)
			} else if ok && ready != nil && byToken {
				settle.Reset(promptSettle) // echo is about to be switched off
			}
		case <-ready:
			ready = nil
		}
	}
}

func (d *dialogue) keepSaid() {
	d.mu.Lock()
	d.said = d.match.said()
	d.mu.Unlock()
}

func (d *dialogue) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.said
}

// echoes tells whether the terminal would show what is typed.
func (d *dialogue) echoes() bool {
	conn, err := d.master.SyscallConn()
	if err != nil {
		return true
	}
	echo := true
	_ = conn.Control(func(fd uintptr) {
		if t, err := unix.IoctlGetTermios(int(fd), getTermios); err == nil {
			echo = t.Lflag&unix.ECHO != 0
		}
	})
	return echo
}

// answer types the secret. A prompt that comes again after the secret that was
// given means that it was wrong; a person may try again.
func (d *dialogue) answer(text string) {
	d.match.answered()
	if text == "" {
		text = "password:"
	}
	var answer string
	switch {
	case d.secret != "" && d.attempts > 0:
		d.fail(ErrPassword)
		return
	case d.secret != "":
		answer = d.secret.reveal()
	case d.env.Prompt == nil:
		d.fail(ErrPasswordRequired)
		return
	case d.attempts >= maxAttempts:
		d.fail(ErrPassword)
		return
	default:
		var err error
		answer, err = d.env.Prompt(d.ctx, Prompt{Kind: PromptPassword, Path: d.path, Text: text, Attempt: d.attempts + 1})
		if err != nil {
			d.fail(fmt.Errorf("%w: %w", ErrPasswordRequired, err))
			return
		}
	}
	d.attempts++
	_, _ = d.master.WriteString(answer + "\n")
}
