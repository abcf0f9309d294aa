package router

import (
	"io"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// writeLoop writes queued frames until the queue is closed or a write fails.
func (l *Link) writeLoop() {
	defer l.r.links.Done()
	defer close(l.writeEnd)
	var w batchWriter
	for {
		list, skip := l.q.nextBatch()
		if list == nil {
			return
		}
		l.writing.Store(time.Now().UnixNano())
		err := w.write(l, list, skip)
		l.writing.Store(0)
		if err != nil {
			l.q.close(&core.Error{Op: "link", Kind: core.KindGone, Err: err})
			return
		}
	}
}

// batchWriter gathers small frames, so that many of them cost one Write.
// Larger frames are written from where they are.
type batchWriter struct{ buf []byte }

// copied is the length up to which frames are gathered, in bytes.
const copied = 8 * kib

var batchBuffers = sync.Pool{New: func() any { b := make([]byte, 0, batch+copied); return &b }}

// write writes a list of frames, without the first skip bytes, and releases
// them.
func (w *batchWriter) write(l *Link, list *core.Frame, skip int) (err error) {
	var pooled *[]byte
	flush := func() {
		if len(w.buf) > 0 && err == nil {
			err = l.writeAll(w.buf)
		}
		w.buf = w.buf[:0]
	}
	for f := list; f != nil; {
		b, next := f.Encoded()[skip:], f.Next
		skip = 0
		switch {
		case err != nil:
		case len(b) > copied || next == nil && len(w.buf) == 0:
			flush()
			if err == nil {
				err = l.writeAll(b)
			}
		default:
			if pooled == nil {
				pooled = batchBuffers.Get().(*[]byte)
				w.buf = (*pooled)[:0]
			}
			w.buf = append(w.buf, b...)
		}
		l.framesOut.Add(1)
		f.Release()
		f = next
	}
	flush()
	if pooled != nil {
		batchBuffers.Put(pooled)
		w.buf = nil
	}
	return err
}

func (l *Link) writeAll(b []byte) error {
	n, err := l.carrier.Write(b)
	l.bytesOut.Add(uint64(max(n, 0)))
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// flush has queued frames written. It writes as much as the carrier takes without waiting, and
// leaves the rest to writeLoop. It never waits, so that readers may call it. So they need not
// wake another goroutine for each frame that they forward.
func (l *Link) flush() {
	if l.try == nil {
		l.q.wake()
		return
	}
	list := l.q.startInline(l.framesIn.Load())
	if list == nil {
		return
	}
	n := l.tryWrite(list)
	l.bytesOut.Add(uint64(n))
	for list != nil && n >= len(list.Encoded()) {
		n -= len(list.Encoded())
		l.framesOut.Add(1)
		next := list.Next
		list.Release()
		list = next
	}
	l.q.endInline(list, n)
}

// tryWrite returns how many bytes of some frames the carrier took.
func (l *Link) tryWrite(list *core.Frame) int {
	b := list.Encoded()
	if list.Next != nil {
		pooled := batchBuffers.Get().(*[]byte)
		defer batchBuffers.Put(pooled)
		b = (*pooled)[:0]
		for f := list; f != nil; f = f.Next {
			b = append(b, f.Encoded()...)
		}
	}
	return max(0, min(len(b), l.try.TryWrite(b)))
}

// putLocal queues a frame of the local context and has it written. It waits for room until one
// of the channels is closed.
func (l *Link) putLocal(f *core.Frame, cancel, dead <-chan struct{}) putResult {
	res := l.q.putLocal(f, cancel, dead)
	if res == taken {
		l.flush()
	}
	return res
}
