package main

import (
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bar is the progress of an operation on several hosts, at the bottom of a terminal.
type bar struct {
	container *mpb.Progress
	line      *mpb.Bar
}

func newBar(w io.Writer, members int, c *counts) *bar {
	b := &bar{container: mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh(), mpb.WithRefreshRate(150*time.Millisecond))}
	began := time.Now()
	b.line = b.container.New(int64(members), mpb.BarStyle(), mpb.BarRemoveOnComplete(), mpb.BarWidth(20),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return figures(members, c, time.Since(began)) })))
	return b
}

// figures returns the numbers behind the bar.
func figures(members int, c *counts, since time.Duration) string {
	results, failed := c.results.Load(), c.failed.Load()
	text := fmt.Sprintf("%d of %d done, %d failed, %d running", results-failed, members, failed, max(c.begun.Load()-c.ended.Load(), 0))
	if s := since.Seconds(); s >= 1 {
		text += fmt.Sprintf(", %.1f/s", float64(results)/s)
	}
	return text
}

// above prints lines over the bar.
func (b *bar) above(text []byte) { _, _ = b.container.Write(text) }

// count shows how many hosts have a result.
func (b *bar) count(n int64) { b.line.SetCurrent(n) }

// end removes the bar.
func (b *bar) end() {
	b.line.Abort(true)
	b.container.Wait()
}
