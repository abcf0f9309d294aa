package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/pflag"
)

// verbosity is how often -v is given: once for the steps of each hop, twice for all that is
// logged. A new program begins with 0.
var verbosity int

func declareVerbose(f *pflag.FlagSet) {
	f.CountVarP(&verbosity, "verbose", "v", "tell the steps of each hop, with the seconds since the beginning; -vv tells all that is logged")
}

// stepLog prints the steps of hops for people, and gives all other records to another handler. A
// step has the time at which it is heard of: the clock of the host that made the hop may be wrong.
type stepLog struct {
	slog.Handler
	out   io.Writer
	began time.Time
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (h *stepLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h *stepLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message != "connecting" && r.Message != "connected" {
		if !h.Handler.Enabled(ctx, r.Level) {
			return nil
		}
		return h.Handler.Handle(ctx, r)
	}
	hop, phase := "", r.Message
	note := func(a slog.Attr) bool {
		switch a.Key {
		case "hop":
			hop = a.Value.String()
		case "phase":
			phase = a.Value.String()
		}
		return true
	}
	for _, a := range h.attrs {
		note(a)
	}
	r.Attrs(note)
	_, err := fmt.Fprintf(h.out, "mitosis: %8.3f %s: %s\n", time.Since(h.began).Seconds(), printable(hop), printable(phase))
	return err
}

// WithAttrs implements slog.Handler.
func (h *stepLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.Handler, with.attrs = h.Handler.WithAttrs(attrs), slices.Concat(h.attrs, attrs)
	return &with
}

// WithGroup implements slog.Handler.
func (h *stepLog) WithGroup(name string) slog.Handler {
	with := *h
	with.Handler = h.Handler.WithGroup(name)
	return &with
}
