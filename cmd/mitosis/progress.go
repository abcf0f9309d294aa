package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/contexts/files"
)

// progressBar shows the progress of a copy on one line of a terminal, and removes it at the end.
type progressBar struct {
	// Immutable.
	f     *os.File
	name  string
	began time.Time

	mu      sync.Mutex
	shown   time.Time // guarded by mu: when it was drawn last; zero: not yet
	cleared bool      // guarded by mu
}

// refresh is the least time between two drawings. People see no more, and the copy waits for
// each.
const refresh = 100 * time.Millisecond

func newProgressBar(f *os.File, source string) *progressBar {
	return &progressBar{f: f, name: filepath.Base(source), began: time.Now()}
}

// show is the Progress of the Options of a copy.
func (b *progressBar) show(p files.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.cleared || now.Sub(b.shown) < refresh {
		return
	}
	b.shown = now
	width, _, err := term.GetSize(int(b.f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	// The last column is left free: terminals differ in where the cursor goes behind it.
	fmt.Fprintf(b.f, "\r%s\x1b[K", progressLine(b.name, p, now.Sub(b.began), width-1))
}

// clear removes the line for good.
func (b *progressBar) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cleared = true
	if !b.shown.IsZero() {
		fmt.Fprint(b.f, "\r\x1b[K")
	}
}

// progressLine returns a line of at most width characters: the name, cut if needed, a bar if
// there is room, and the figures.
func progressLine(name string, p files.Progress, since time.Duration, width int) string {
	if p.Name != "" {
		name += "/" + p.Name
	}
	figures := size(float64(p.Bytes))
	if s := since.Seconds(); s > 0 {
		figures += fmt.Sprintf("  %s/s", size(float64(p.Bytes)/s))
	}
	bar := ""
	if p.Total > 0 && p.Bytes <= p.Total {
		figures = fmt.Sprintf("%3d%%  %s", 100*p.Bytes/p.Total, figures)
		if cells := min(width/4, 30); cells >= 10 {
			full := int(int64(cells) * p.Bytes / p.Total)
			bar = "[" + strings.Repeat("#", full) + strings.Repeat(" ", cells-full) + "] "
		}
	}
	tail := bar + figures
	room := width - utf8.RuneCountInString(tail) - 2
	if room < 1 {
		return tail[:min(len(tail), max(width, 0))]
	}
	shown := []rune(printable(name))
	if len(shown) > room {
		shown = append([]rune{'…'}, shown[len(shown)-room+1:]...)
	}
	return string(shown) + strings.Repeat(" ", room-len(shown)) + "  " + tail
}

// size returns a number of bytes with three or four digits and a unit.
func size(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for n >= 1000 && len(units) > 1 {
		n, units = n/1024, units[1:]
	}
	if units[0] == "B" || n >= 100 {
		return fmt.Sprintf("%.0f %s", n, units[0])
	}
	return fmt.Sprintf("%.1f %s", n, units[0])
}
