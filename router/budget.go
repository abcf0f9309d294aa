package router

import "sync"

// budget is a number of bytes that many users share.
type budget struct {
	mu    sync.Mutex
	left  uint64
	freed chan struct{} // closed by the next give; nil: nobody waits
}

// take takes up to n bytes, and returns how many it got.
func (b *budget) take(n uint64) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, b.left)
	b.left -= n
	return n
}

// takeAbove is take for users that can do without: it leaves at least so many bytes for
// others.
func (b *budget) takeAbove(n, least uint64) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, b.left-min(b.left, least))
	b.left -= n
	return n
}

// takeAll takes n bytes or none, and reports whether it took them.
func (b *budget) takeAll(n uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < n {
		return false
	}
	b.left -= n
	return true
}

func (b *budget) give(n uint64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// wait returns a channel that is closed when something is given back.
func (b *budget) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return b.freed
}
