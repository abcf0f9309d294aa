package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

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
	cfg := &contexts.Config{
		Notify: tell, Output: os.Stderr, LogLevel: level, Cache: os.Getenv(cacheVariable) != "", Log: log,
		Images: agents(),
	}
	if tty, err := openTTY(); err == nil {
		_ = tty.Close()
		cfg.Prompt = ask // else hops know that nobody can be asked, and tell what they have tried
	}
	return contexts.Start(ctx, cfg)
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
