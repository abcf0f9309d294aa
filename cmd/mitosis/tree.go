package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// The variables of the environment: the least level that is logged, as slog spells
// it; and, if it is set, that far sides keep the program for the next time.
const (
	logVariable   = "MITOSIS_LOG"
	cacheVariable = "MITOSIS_CACHE"
)

// startTree makes this process a master. Errors say what tools said, so by
// default the log has only what has no error to go with.
func startTree(ctx context.Context) (*contexts.Node, error) {
	log, level, err := newLog(os.Stderr)
	if err != nil {
		return nil, err
	}
	return contexts.Start(ctx, &contexts.Config{
		Prompt: ask, Output: os.Stderr, LogLevel: level, Cache: os.Getenv(cacheVariable) != "", Log: log,
	})
}

// newLog returns a log of the level that the environment says.
func newLog(w io.Writer) (*slog.Logger, slog.Level, error) {
	level := slog.LevelWarn
	if text := os.Getenv(logVariable); text != "" {
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return nil, 0, fmt.Errorf("%s: %q is none of debug, info, warn, error", logVariable, text)
		}
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), level, nil
}

// ask asks at the terminal, if there is one. What is typed is shown where the
// question allows it, and otherwise hidden before the question stands there.
// When ctx ends meanwhile the terminal is as it was before; the answer is waited
// for no longer than the program lives.
func ask(ctx context.Context, p connect.Prompt) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("nobody can be asked: %w", err)
	}
	defer tty.Close()
	if p.Attempt > 1 {
		fmt.Fprintln(tty, "that was wrong")
	}
	text := p.Path + ": " + strings.TrimSpace(p.Text) + " "
	if p.Echo {
		fmt.Fprint(tty, text)
		answer, err := bufio.NewReader(tty).ReadString('\n')
		return strings.TrimRight(answer, "\r\n"), err
	}
	fd := int(tty.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("nobody can be asked without showing the answer: %w", err)
	}
	restore := func() { _ = term.Restore(fd, before) }
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
