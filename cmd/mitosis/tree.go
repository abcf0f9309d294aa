package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// startTree makes this process a master, with a place for messages. By default only warnings are
// logged: errors have the last words of tools.
func startTree(ctx context.Context, messages io.Writer) (*contexts.Node, error) {
	return contexts.Start(ctx, treeConfig(messages))
}

// treeConfig returns the configuration of a tree, or of this process in that of a broker.
func treeConfig(messages io.Writer) *contexts.Config {
	log, level := newLog(messages)
	cfg := &contexts.Config{
		Notify: teller(messages), Output: messages, LogLevel: level, Cache: inForce.Cache, PackedDir: inForce.PackedCache, Log: log,
		Images: agents(),
	}
	if canAsk() {
		cfg.Prompt = ask // without it, hops know that nobody can be asked
	}
	return cfg
}

// newLog returns a log, and its level: that of the settings, or debug if there is a -v.
func newLog(w io.Writer) (*slog.Logger, slog.Level) {
	level := inForce.Log
	if verbosity > 1 {
		level = slog.LevelDebug
	}
	var h slog.Handler = slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
	if verbosity > 0 {
		h, level = &stepLog{Handler: h, out: w, began: time.Now()}, slog.LevelDebug
	}
	return slog.New(h), level
}
