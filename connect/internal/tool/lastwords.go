package tool

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect/internal/printable"
	"github.com/mitosis-go/mitosis/core"
)

const (
	// MaxLastWords bounds the part of an error that are the tool's last words, in bytes.
	MaxLastWords = 2 << 10
	// maxWordsLine is the length, in bytes, at which a line without an end is cut for the
	// log.
	maxWordsLine = 8 << 10
	// wordsRate bounds the lines of up to wordsUnit bytes that go to the log in a second;
	// wordsBurst is a reserve for the trace of a crash. A longer line counts for several.
	// Without a bound a far side could flood the log as fast as its link is.
	wordsRate  = 100
	wordsBurst = 5000
	wordsUnit  = 200
)

// The places where a tool says something.
const (
	OnStderr   = "stderr"
	OnTerminal = "terminal"
	OnProxy    = "stderr of the proxy command"
)

// LastWords gets the standard error of a tool, or the output of its terminal. It logs the
// lines, within wordsRate, and keeps the end to explain a failure.
type LastWords struct {
	Log *slog.Logger // names the hop; may be nil
	On  string

	mu   sync.Mutex
	line []byte // the unfinished one
	tail []byte // the last bytes, for an error

	meter   core.Meter
	dropped int       // lines that were not logged, since the last warning about them
	told    time.Time // of that warning
}

func (l *LastWords) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if extra := len(l.tail) - MaxLastWords; extra > 0 {
		l.tail = append(l.tail[:0], l.tail[extra:]...)
	}
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		room := max(maxWordsLine-len(l.line), 0)
		if len(line) > room {
			line, after, ended = rest[:room], rest[room:], true
		}
		l.line = append(l.line, line...)
		if ended {
			l.flushLocked()
		}
		rest = after
	}
	return len(p), nil
}

func (l *LastWords) flushLocked() {
	line := l.line
	l.line = l.line[:0]
	if l.Log == nil || len(bytes.TrimSpace(line)) == 0 || !l.takeLocked(1+len(line)/wordsUnit, time.Now()) {
		return
	}
	if text := strings.TrimSpace(printable.Text(string(line))); text != "" {
		level := slog.LevelInfo
		if l.On == OnTerminal {
			level = slog.LevelDebug // mostly questions that were answered
		}
		l.Log.Log(context.Background(), level, "the tool said", "on", l.On, "text", text)
	}
}

// takeLocked reports whether one more line, which counts for n, may go to the log. A warning
// once a second says how many were dropped.
func (l *LastWords) takeLocked(n int, now time.Time) bool {
	if l.meter.Take(now, float64(n), wordsRate, wordsBurst) {
		return true
	}
	l.dropped++
	if now.Sub(l.told) >= time.Second {
		l.Log.Warn("the tool says too much: lines were dropped", "on", l.On, "lines", l.dropped)
		l.dropped, l.told = 0, now
	}
	return false
}

// String returns the last words on one line, with " / " between lines.
func (l *LastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.FieldsFunc(string(l.tail), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(printable.Text(lines[i]))
	}
	return strings.Join(lines, " / ")
}
