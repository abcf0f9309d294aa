package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/internal/descriptor"
)

func openTTY() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) }

// teller returns a function that shows a notice of a hop at once, as ssh does.
func teller(messages io.Writer) func(context.Context, connect.Notice) {
	return func(_ context.Context, n connect.Notice) {
		fmt.Fprintf(messages, "[%s] %s\n", n.Path, visibleLines([]byte(n.Text)))
	}
}

// beforeQuestion, if not nil, clears the terminal for a question.
var beforeQuestion atomic.Pointer[func()]

// turn is held by the question that is at the terminal.
var turn sync.Mutex

// ask gets the answer to a question: from the given file, from the program that SSH_ASKPASS
// names, or at the terminal. Unless the question allows echo, that is off before the question
// is shown. If ctx ends, the terminal is restored.
func ask(ctx context.Context, p connect.Prompt) (string, error) {
	if p.Kind == connect.PromptPassword && givenPassword.source != "" {
		return givenPassword.answer(p)
	}
	if program := askProgram(); program != "" {
		return askBy(ctx, program, p)
	}
	turn.Lock() // many hosts may ask at once
	defer turn.Unlock()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if clear := beforeQuestion.Load(); clear != nil {
		(*clear)()
	}
	tty, err := openTTY()
	if err != nil {
		return "", fmt.Errorf("nobody can be asked: %w", err)
	}
	defer tty.Close()
	// A reader that is left behind would take the answer to the next question.
	defer context.AfterFunc(ctx, func() { _ = tty.SetReadDeadline(time.Unix(1, 0)) })()
	if attempts.isNew(p) {
		fmt.Fprintln(tty, "that was wrong")
	}
	text := p.Path + ": " + string(visibleLines([]byte(strings.TrimSpace(p.Text)))) + " "
	var answer string
	defer standingQuestion.end()
	if p.Echo {
		standingQuestion.show(tty, text, false)
		answer, err = bufio.NewReader(tty).ReadString('\n')
		answer = strings.TrimRight(answer, "\r\n")
	} else {
		answer, err = askHidden(ctx, tty, text)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		fmt.Fprintln(tty) // the next text begins on its own line
		err = context.Cause(ctx)
	}
	return answer, err
}

// rounds has the attempt of each hop's last question. So a round of several questions says only
// once that the answer before was wrong.
type rounds struct {
	mu   sync.Mutex
	last map[string]int // guarded by mu; by the hop's path
}

var attempts rounds

// isNew reports whether a question is the first one of a repeated round.
func (r *rounds) isNew(p connect.Prompt) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = make(map[string]int)
	}
	before := r.last[p.Path]
	r.last[p.Path] = p.Attempt
	return p.Attempt > 1 && p.Attempt != before
}

// askHidden asks without echo.
func askHidden(ctx context.Context, tty *os.File, text string) (string, error) {
	before, err := makeRaw(tty)
	if err != nil {
		return "", fmt.Errorf("nobody can be asked without showing the answer: %w", err)
	}
	restore := func() {
		_ = descriptor.Control(tty, func(fd int) error { return term.Restore(fd, before) })
	}
	defer restore()
	defer context.AfterFunc(ctx, restore)()
	standingQuestion.show(tty, text, true)
	answer, err := term.NewTerminal(tty, "").ReadPassword("")
	if err == io.EOF {
		restore()
		err = interrupted(ctx)
	}
	return answer, err
}

func makeRaw(tty *os.File) (before *term.State, err error) {
	err = descriptor.Control(tty, func(fd int) (err error) {
		before, err = term.MakeRaw(fd)
		return err
	})
	return before, err
}

// interrupted sends SIGINT to this process. At a hidden question the terminal passes Ctrl-C on
// as a key and sends no signal.
func interrupted(ctx context.Context) error {
	if p, err := os.FindProcess(os.Getpid()); err == nil && p.Signal(os.Interrupt) == nil {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second): // the signal is ignored
		}
	}
	return errInterrupted
}

// errInterrupted: a person has refused to answer, by Ctrl-C.
var errInterrupted = errors.New("interrupted at the terminal")
