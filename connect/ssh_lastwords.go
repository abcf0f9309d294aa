package connect

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

const (
	// maxLastWords is how much of what a tool said at the end goes into an
	// error, in bytes.
	maxLastWords = 2 << 10
	// maxWordsLine is where a line that doesn't end is cut for the log.
	maxWordsLine = 8 << 10
)

// The places where a tool says something.
const (
	onStderr   = "stderr"
	onTerminal = "terminal"
	onProxy    = "stderr of the proxy command"
)

// lastWords is where a tool's standard error goes, or what its terminal shows:
// every line to the log, and the end is kept to explain a failure.
type lastWords struct {
	log *slog.Logger // names the hop; may be nil
	on  string

	mu   sync.Mutex
	line []byte // not yet ended
	tail []byte
}

func (l *lastWords) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if extra := len(l.tail) - maxLastWords; extra > 0 {
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

func (l *lastWords) flushLocked() {
	if text := strings.TrimSpace(cleanText(string(l.line))); text != "" && l.log != nil {
		level := slog.LevelInfo
		if l.on == onTerminal {
			level = slog.LevelDebug // mostly questions that were answered
		}
		l.log.Log(context.Background(), level, "the tool said", "on", l.on, "text", text)
	}
	l.line = l.line[:0]
}

// String is the tail on one line.
func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.FieldsFunc(string(l.tail), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(cleanText(lines[i]))
	}
	return strings.Join(lines, " / ")
}
