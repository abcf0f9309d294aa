package logs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// record is a log record as it travels to the master.
type record struct {
	_       struct{} `cbor:",toarray"`
	Kind    uint8
	Time    int64 // nanoseconds since 1970 at the clock of the sender
	Level   int
	Message string
	Attrs   []attr
}

// The kinds of records.
const (
	recordLog     uint8 = 0
	recordOutput  uint8 = 1 // a line that was printed; Message is the line
	recordDropped uint8 = 2 // Level is the number of records that were dropped before this one
)

// attr is an attribute with its group as a dotted prefix. The value is a bool, a number, a
// string, or bytes of text. Values of other types became text where they were logged.
type attr struct {
	_     struct{} `cbor:",toarray"`
	Key   string
	Value any
}

// Bounds of a record, against hosts that log novels. Longer ones are cut.
const (
	maxText  = 32 << 10 // bytes of a message or a value
	maxAttrs = 128
	maxLine  = 32 << 10 // bytes of a printed line
)

func cut(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}

// handler is the slog.Handler of a child.
type handler struct {
	sender *Sender
	prefix string // of open groups, with the dot
	attrs  []attr
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.sender.level.Level()
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	rec := record{Kind: recordLog, Time: r.Time.UnixNano(), Level: int(r.Level), Message: cut(r.Message)}
	rec.Attrs = slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		rec.Attrs = appendAttr(rec.Attrs, h.prefix, a)
		return len(rec.Attrs) < maxAttrs
	})
	h.sender.put(rec)
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		c.attrs = appendAttr(c.attrs, h.prefix, a)
	}
	return &c
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "."
	return &c
}

func appendAttr(to []attr, prefix string, a slog.Attr) []attr {
	v := a.Value.Resolve()
	if a.Key == "" && v.Kind() != slog.KindGroup {
		return to
	}
	switch v.Kind() {
	case slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, g := range v.Group() {
			to = appendAttr(to, prefix, g)
		}
		return to
	case slog.KindBool:
		return append(to, attr{Key: prefix + a.Key, Value: v.Bool()})
	case slog.KindInt64:
		return append(to, attr{Key: prefix + a.Key, Value: v.Int64()})
	case slog.KindUint64:
		return append(to, attr{Key: prefix + a.Key, Value: v.Uint64()})
	case slog.KindFloat64:
		return append(to, attr{Key: prefix + a.Key, Value: v.Float64()})
	case slog.KindTime:
		return append(to, attr{Key: prefix + a.Key, Value: v.Time().Format(time.RFC3339Nano)})
	}
	return append(to, attr{Key: prefix + a.Key, Value: cut(v.String())})
}

// slogRecord returns the record for the master's logger.
func (r *record) slogRecord(path string) slog.Record {
	out := slog.NewRecord(time.Unix(0, r.Time), slog.Level(r.Level), r.Message, 0)
	switch r.Kind {
	case recordOutput:
		out = slog.NewRecord(time.Unix(0, r.Time), slog.LevelInfo, r.Message, 0)
		out.AddAttrs(slog.Bool("output", true))
	case recordDropped:
		out = slog.NewRecord(time.Unix(0, r.Time), slog.LevelWarn, "log records were dropped", 0)
		out.AddAttrs(slog.Int("count", r.Level))
	}
	out.AddAttrs(slog.String("context", path))
	for _, a := range r.Attrs[:min(len(r.Attrs), maxAttrs)] {
		switch v := a.Value.(type) {
		case bool, int64, uint64, float64:
			out.AddAttrs(slog.Any(a.Key, v))
		case string:
			out.AddAttrs(slog.String(a.Key, cut(v)))
		default:
			out.AddAttrs(slog.String(a.Key, cut(fmt.Sprint(v))))
		}
	}
	return out
}
