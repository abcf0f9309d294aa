package contexts

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
)

const (
	// noticeRate and noticeBurst are how many notices all descendants together may
	// have shown, so many a second beyond a reserve. What is beyond goes to the log,
	// which has bounds of its own.
	noticeRate  = 10
	noticeBurst = 200
)

// notifier returns what a hop at path tells the person at the master with, nil where
// nobody wants to be told.
func (l *local) notifier(path string) func(context.Context, connect.Notice) {
	if l.cfg.Notify == nil {
		return nil
	}
	return func(ctx context.Context, n connect.Notice) {
		n.Path = path
		l.cfg.Notify(ctx, n)
	}
}

// notifyMaster has the master show something. What that does not show is logged.
func (l *local) notifyMaster(ctx context.Context, n connect.Notice) {
	if _, err := noticeFunc.Call(ctx, l.master(), n); err != nil {
		l.log.Info("the far side tells", "hop", n.Path, "text", n.Text)
	}
}

// noticeMeter bounds what a master shows.
type noticeMeter struct {
	mu    sync.Mutex
	meter core.Meter // guarded by mu
}

func (m *noticeMeter) take() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.meter.Take(time.Now(), 1, noticeRate, noticeBurst)
}

// noticeFunc runs in the master. A context may have lines shown, as it may have them
// logged: under its true path, without control characters, and so many.
var noticeFunc = NewFunc("mitosis.notice", func(ctx context.Context, n connect.Notice) (struct{}, error) {
	c := callOf(ctx)
	l := c.l
	if l.cfg.Notify == nil || l.id != core.Master || !l.notices.take() {
		return struct{}{}, ErrRefused
	}
	l.cfg.Notify(ctx, connect.Notice{Path: l.pathWithin(c.m.Src, n.Path), Text: tree.Printable(n.Text)})
	return struct{}{}, nil
}, AllowDescendants)

// pathWithin is a path below a context, or that of the context itself: whatever it
// says of itself, it is shown as who it is.
func (l *local) pathWithin(id core.ID, path string) string {
	own := l.pathOf(id)
	if !strings.HasPrefix(path, own+"/") {
		return own
	}
	return tree.Printable(path)
}
