package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// logVariable has the lowest level that is logged, as slog spells it. If cacheVariable is set,
// far sides keep the program for the next time.
const (
	logVariable   = "MITOSIS_LOG"
	cacheVariable = "MITOSIS_CACHE"
)

// startTree makes this process a master, with a place for messages. By default only warnings are
// logged: errors have the last words of tools.
func startTree(ctx context.Context, messages io.Writer) (*contexts.Node, error) {
	log, level, err := newLog(messages)
	if err != nil {
		return nil, err
	}
	cfg := &contexts.Config{
		Notify: teller(messages), Output: messages, LogLevel: level, Cache: os.Getenv(cacheVariable) != "", Log: log,
		Images: agents(),
	}
	if canAsk() {
		cfg.Prompt = ask // without it, hops know that nobody can be asked
	}
	return contexts.Start(ctx, cfg)
}

// newLog returns a log, and its level: that in the environment, or debug if there is a -v.
func newLog(w io.Writer) (*slog.Logger, slog.Level, error) {
	level := slog.LevelWarn
	if text := os.Getenv(logVariable); text != "" {
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return nil, 0, fmt.Errorf("%s: %q is none of debug, info, warn, error", logVariable, text)
		}
	}
	if verbosity > 1 {
		level = slog.LevelDebug
	}
	var h slog.Handler = slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
	if verbosity > 0 {
		h, level = &stepLog{Handler: h, out: w, began: time.Now()}, slog.LevelDebug
	}
	return slog.New(h), level, nil
}
