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
	"time"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/internal/descriptor"
)

func openTTY() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) }

// tell shows what a hop says on the way, at once, where ssh shows it too.
func tell(_ context.Context, n connect.Notice) {
	fmt.Fprintf(os.Stderr, "[%s] %s\n", n.Path, n.Text)
}

// ask asks at the terminal. What is typed is shown where the question allows it, and
// otherwise hidden before the question stands there. When ctx ends meanwhile the
// terminal is as it was before.
func ask(ctx context.Context, p connect.Prompt) (string, error) {
	tty, err := openTTY()
	if err != nil {
		return "", fmt.Errorf("nobody can be asked: %w", err)
	}
	defer tty.Close()
	// A reader that stayed would take the answer to the next question.
	defer context.AfterFunc(ctx, func() { _ = tty.SetReadDeadline(time.Unix(1, 0)) })()
	if attempts.isNew(p) {
		fmt.Fprintln(tty, "that was wrong")
	}
	text := p.Path + ": " + strings.TrimSpace(p.Text) + " "
	var answer string
	if p.Echo {
		fmt.Fprint(tty, text)
		answer, err = bufio.NewReader(tty).ReadString('\n')
		answer = strings.TrimRight(answer, "\r\n")
	} else {
		answer, err = askHidden(ctx, tty, text)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		fmt.Fprintln(tty) // what comes next does not stand behind the question
		err = context.Cause(ctx)
	}
	return answer, err
}

// rounds remember the attempt of each hop's last question. A round of several questions
// tells only once that the round before was wrong.
type rounds struct {
	mu   sync.Mutex
	last map[string]int // guarded by mu; by the hop's path
}

var attempts rounds

// isNew reports whether a question is the first of another attempt than the first.
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

// askHidden asks without showing what is typed.
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
	question := strings.LastIndexByte(text, '\n') + 1
	fmt.Fprint(tty, strings.ReplaceAll(text[:question], "\n", "\r\n"))
	answer, err := term.NewTerminal(tty, "").ReadPassword(text[question:])
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

// interrupted does what Ctrl-C does elsewhere; at a hidden question the terminal
// hands it over as a key.
func interrupted(ctx context.Context) error {
	if p, err := os.FindProcess(os.Getpid()); err == nil && p.Signal(os.Interrupt) == nil {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second): // the signal is ignored
		}
	}
	return errInterrupted
}

// errInterrupted is a question that somebody did not want to answer.
var errInterrupted = errors.New("interrupted at the terminal")
