package image

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// encodedLife is the time for which a packed image is kept in memory after its last use. It
// covers a series of connects. After that a few megabytes are worth more than the tens of
// milliseconds of packing again.
const encodedLife = 30 * time.Second

// A form is the image in one codec.
type form struct {
	mu        sync.Mutex // is not held while packing
	data      []byte     // nil until packed, and after encodedLife without use
	best      bool       // data was packed with best
	improving bool
	making    *making // nil where nobody waits for data
	uses      uint64
	timer     *time.Timer
}

// A making is the work of a goroutine that makes a form for those who wait. The goroutine ends
// when the form is made, or soon after the last one has stopped waiting.
type making struct {
	waiting int // guarded by mu of the form
	end     context.CancelFunc
	done    chan struct{} // closed when data and err are set
	data    []byte
	err     error
}

// Encoded returns the image in a codec, which must not be changed. It takes the form in
// kept, or else packs fast, because a connect waits; see Improve. However many connects ask
// at the same time, the image is packed once. Encoded returns early when ctx ends, and packing
// goes on for the others.
func (i *Image) Encoded(ctx context.Context, c Codec, kept *PackedDir) ([]byte, error) {
	if c >= codecs {
		return nil, fmt.Errorf("image: unknown codec %d", c)
	}
	f := &i.forms[c]
	f.mu.Lock()
	if f.data != nil {
		defer f.mu.Unlock()
		f.useLocked()
		return f.data, nil
	}
	if f.making == nil {
		work, end := context.WithCancel(context.WithoutCancel(ctx))
		f.making = &making{end: end, done: make(chan struct{})}
		go i.make(work, f.making, c, kept)
	}
	m := f.making
	m.waiting++
	f.mu.Unlock()
	select {
	case <-m.done:
		return m.data, m.err
	case <-ctx.Done():
		f.leave(m)
		return nil, context.Cause(ctx)
	}
}

// make makes a form, and hands it to those who wait.
func (i *Image) make(ctx context.Context, m *making, c Codec, kept *PackedDir) {
	defer m.end()
	data, isBest, err := i.known(c, kept)
	if err == nil && data == nil {
		data, err = i.encode(ctx, c, fast)
	}
	f := &i.forms[c]
	f.mu.Lock()
	defer f.mu.Unlock()
	m.data, m.err = data, err
	close(m.done)
	if f.making == m {
		f.making = nil
	}
	if err == nil && !f.best {
		f.data, f.best = data, isBest
		f.useLocked()
	}
}

// leave ends the work that nobody waits for any more, which takes milliseconds.
func (f *form) leave(m *making) {
	f.mu.Lock()
	m.waiting--
	last := m.waiting == 0
	if last && f.making == m {
		f.making = nil
	}
	f.mu.Unlock()
	if last {
		m.end()
		<-m.done
	}
}

// known returns the image in a codec where it need not be packed, or else nil.
func (i *Image) known(c Codec, kept *PackedDir) (data []byte, isBest bool, err error) {
	if ready := i.ready[c]; ready != nil {
		data, err = ready()
		return data, true, err
	}
	data = kept.load(i, c)
	return data, data != nil, nil
}

// useLocked notes a use. A timer lets the data go after encodedLife without another.
func (f *form) useLocked() {
	f.uses++
	uses := f.uses
	if f.timer != nil {
		f.timer.Stop()
	}
	f.timer = time.AfterFunc(encodedLife, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.uses == uses {
			f.data, f.best, f.timer = nil, false, nil
		}
	})
}

// Improve packs the image as small as possible, unless that has been done, and puts it into
// kept, where later programs find it. It takes about half a second of one processor, which
// packing for connects has first. It returns early when ctx ends. Connects that ask
// meanwhile get the form that there is.
func (i *Image) Improve(ctx context.Context, c Codec, kept *PackedDir) error {
	if c == Raw {
		return nil
	}
	f := &i.forms[c]
	f.mu.Lock()
	wanted := !f.best && !f.improving
	f.improving = f.improving || wanted
	f.mu.Unlock()
	if !wanted {
		return nil
	}
	data, isBest, err := i.known(c, kept)
	if !isBest {
		if data, err = i.encode(ctx, c, best); err == nil && kept != nil {
			err = kept.store(i, c, data)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.improving = false
	if data != nil {
		f.data, f.best = data, true
		f.useLocked()
	}
	return err
}
