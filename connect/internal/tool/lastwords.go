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
	// MaxLastWords is how much of what a tool said at the end goes into an
	// error, in bytes.
	MaxLastWords = 2 << 10
	// maxWordsLine is where a line that doesn't end is cut for the log.
	maxWordsLine = 8 << 10
	// wordsRate and wordsBurst are how many lines of up to wordsUnit bytes go to the
	// log: so many a second, with a reserve for the trace of a crash. A longer line
	// counts for several. A far side may write as fast as its link is.
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

// LastWords is where a tool's standard error goes, or what its terminal shows:
// every line to the log, as far as wordsRate goes, and the end is kept to explain a
// failure.
type LastWords struct {
	Log *slog.Logger // names the hop; may be nil
	On  string

	mu   sync.Mutex
	line []byte // not yet ended
	tail []byte

	meter   core.Meter
	dropped int       // lines that were kept from the log, and nothing said of them
	told    time.Time // when that was last said
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

// takeLocked tells whether one more line may go to the log, which counts for n. How many may not is
// logged once a second, as long as it goes on.
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

// String is the tail on one line.
func (l *LastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.FieldsFunc(string(l.tail), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(printable.Text(lines[i]))
	}
	return strings.Join(lines, " / ")
}
