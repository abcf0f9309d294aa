package contexts

import (
	"context"
	"log/slog"

	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// onLog takes a frame to HandleLog, on the reader of a link.
func (l *local) onLog(m router.Message) {
	if l.logs != nil {
		l.logs.Put(m.Src, l.pathOf(m.Src), m.Body)
	}
}

// sendRecords sends the records and printed lines of this context to the master, as long as
// anything can be sent.
func (l *local) sendRecords() {
	l.up.records.Run(l.SendCtx, func(record []byte) bool {
		err := l.router.Send(l.SendCtx, core.Master, core.HandleLog, core.HandleNone, 0, record)
		return err == nil || l.outlives()
	})
}

// SetLogLevel sets the least level of records that the contexts below the local one send
// from now on. It holds for contexts that are connected later as well. For another node
// than the local one it returns an error.
func (n *Node) SetLogLevel(level slog.Level) error {
	if n.id != n.self.id {
		return &Error{Op: "set log level", Path: n.String(), Err: ErrRefused}
	}
	n.self.setLevel(level)
	return nil
}

// setLevel sets the level here and passes it on to the children.
func (l *local) setLevel(level slog.Level) {
	l.level.Set(level)
	if l.up != nil {
		l.up.records.SetLevel(level)
	}
	b, err := core.Marshal(int(level))
	if err != nil {
		return
	}
	for _, c := range l.children.List() {
		l.Background(func(ctx context.Context) {
			_ = l.router.Send(ctx, c.ID, core.HandleLevel, core.HandleNone, 0, b)
		})
	}
}

// onLevel takes a frame to HandleLevel, on the reader of the parent's link.
func (l *local) onLevel(m router.Message) {
	var level int
	if m.Rights == router.RightsFull && core.Unmarshal(m.Body, &level) == nil {
		l.setLevel(slog.Level(level))
	}
}
