package files

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

const (
	// chunkSize is the most data that goes over a lane in one piece, in bytes. With a
	// lane of 1 MB/s, the others wait for the last piece of a copy for an eighth of a second.
	chunkSize = 128 << 10
	// laneWindow is how far the writer of a bundle may be ahead of the reader, in bytes
	// for each lane. A session of ssh has 2 MiB under way. The rest is for lanes that
	// are not equally fast: pieces that came over a faster one wait at the reader for
	// those before them.
	laneWindow = 8 << 20
	// worthLanes is the size of the smallest file for which further lanes are opened, which
	// takes two round trips, in bytes.
	worthLanes = 2 << 20
	// stuckTime is how long a reader waits for a chunk before the lane that has it is given
	// up. It is shorter than the time after which most links count as lost.
	stuckTime = 10 * time.Second
	// maxLanes bounds the memory that a peer can ask for, beside the first lane.
	maxLanes = 32
)

// bundle is a connection that goes over several others, its lanes, to the same process. All
// of them end at its other end. The bytes are cut into numbered chunks. Each lane takes the
// next chunk when it can, so that a lane has as large a part as it is fast. The reader puts
// them in order.
//
// A chunk is kept until the other side has read it. When a lane ends, or holds up the reader
// for stuckTime, the others send its chunks again. The first lane is the connection on which
// the copy was asked for. The bundle ends with it, and has its errors.
//
// Each lane has two goroutines, which end with the lane or in close.
type bundle struct {
	// Immutable.
	first  stream
	window int64
	loops  sync.WaitGroup // Add is called with mu held, while err is nil

	mu sync.Mutex
	// The conditions, all of mu.
	arrived sync.Cond // next can be read
	room    sync.Cond // acked or told has grown
	work    sync.Cond // there is a chunk to send, or something to acknowledge

	// Guarded by mu.
	err   error   // why the bundle has ended; nil: it has not
	lanes []*lane // those that have not ended; the first lane is first

	// The direction to the other side. Guarded by mu.
	wrote int64    // bytes that Write was given
	acked int64    // bytes of these that the other side has read
	kept  []*chunk // chunks that are not acknowledged as a whole, in order
	queue []*chunk // chunks of these that no lane has, in order

	// The direction from the other side. Guarded by mu.
	next      int64            // number of the next byte for Read
	ahead     map[int64]*chunk // chunks that have come, by the numbers of their first bytes
	held      int64            // bytes in ahead
	told      int64            // value of next that the other side knows
	finishing bool             // the other side must know next exactly
	missing   bool             // the other side must know that next has not come for long
}

// lane is one connection of a bundle.
type lane struct {
	conn  net.Conn
	ended bool // guarded by mu of the bundle
}

// chunk is a piece of one direction of a bundle.
type chunk struct {
	at   int64 // number of its first byte
	data []byte
	read int // bytes of data that Read has returned

	// Of the direction to the other side. Guarded by mu of the bundle.
	lane    *lane     // that has it; nil: none
	since   time.Time // when the lane took it
	writing int       // lanes that write it at the moment
	done    bool      // it was acknowledged

	memory *chunkMemory // of the head and data
}

type chunkMemory [headSize + chunkSize]byte

var chunkMemories = sync.Pool{New: func() any { return new(chunkMemory) }}

func newChunk(at int64, size int) *chunk {
	m := chunkMemories.Get().(*chunkMemory)
	return &chunk{at: at, memory: m, data: m[headSize : headSize+size]}
}

func (c *chunk) end() int64 { return c.at + int64(len(c.data)) }

func (c *chunk) free() {
	chunkMemories.Put(c.memory)
	c.memory, c.data = nil, nil
}

// newBundle makes a bundle of its first lane. It may get so many others.
func newBundle(first stream, others int) *bundle {
	b := &bundle{first: first, window: laneWindow * int64(others+1), ahead: make(map[int64]*chunk)}
	b.arrived.L, b.room.L, b.work.L = &b.mu, &b.mu, &b.mu
	b.add(first)
	return b
}

// add adds a lane, which the bundle closes.
func (b *bundle) add(c net.Conn) {
	l := &lane{conn: c}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		c.Close()
		return
	}
	b.lanes = append(b.lanes, l)
	b.loops.Go(func() {
		// Why the first lane ends is known to the goroutine that reads.
		if err := b.sendOn(l); c != b.first {
			b.end(l, err)
		}
	})
	b.loops.Go(func() { b.end(l, b.receiveOn(l)) })
}

// end ends a lane, and the bundle with the first lane or for a peer that breaks the rules.
func (b *bundle) end(l *lane, err error) {
	l.conn.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.conn == b.first || errors.Is(err, core.ErrProtocol) {
		b.failLocked(err)
		return
	}
	if l.ended {
		return
	}
	l.ended = true
	b.lanes = slices.DeleteFunc(b.lanes, func(other *lane) bool { return other == l })
	for _, c := range b.kept {
		if c.lane == l {
			c.lane = nil
			b.queue = append(b.queue, c)
		}
	}
	slices.SortFunc(b.queue, func(c, d *chunk) int { return cmp.Compare(c.at, d.at) })
	b.work.Broadcast()
}

func (b *bundle) failLocked(err error) {
	if b.err != nil {
		return
	}
	b.err = err
	for _, l := range b.lanes {
		if l.conn != b.first {
			l.conn.Close()
		}
	}
	b.arrived.Broadcast()
	b.room.Broadcast()
	b.work.Broadcast()
}

// Write implements conn. It returns when all of p is kept to be sent.
func (b *bundle) Write(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil && len(p) > 0 {
		size := min(len(p), chunkSize)
		if b.wrote+int64(size)-b.acked > b.window {
			b.room.Wait()
			continue
		}
		c := newChunk(b.wrote, size)
		putHead(c.memory[:], kindChunk, c.at, size)
		copy(c.data, p)
		b.wrote = c.end()
		b.kept, b.queue = append(b.kept, c), append(b.queue, c)
		b.work.Broadcast()
		p, n = p[size:], n+size
	}
	return n, b.err
}

// Read implements conn.
func (b *bundle) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(p) > 0 && n == 0 {
		c := b.ahead[b.next]
		switch {
		case c == nil && b.err != nil:
			return 0, b.err
		case c == nil:
			late := time.AfterFunc(stuckTime, b.miss)
			b.arrived.Wait()
			late.Stop()
			continue
		}
		n = b.takeLocked(c, p)
	}
	return n, nil
}

// miss has the other side look for what Read waits for, and Read wait for it again.
func (b *bundle) miss() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.missing = true
	b.work.Broadcast()
	b.arrived.Broadcast()
}

// takeLocked reads from the chunk at next.
func (b *bundle) takeLocked(c *chunk, p []byte) int {
	n := copy(p, c.data[c.read:])
	c.read += n
	delete(b.ahead, b.next)
	b.next += int64(n)
	b.held -= int64(n)
	if b.next < c.end() {
		b.ahead[b.next] = c
	} else {
		c.free()
	}
	if b.ackDueLocked() {
		b.work.Broadcast()
	}
	return n
}

// ackDueLocked reports whether the other side has to be told how much was read.
func (b *bundle) ackDueLocked() bool {
	return b.next-b.told >= b.window/16 || b.finishing && b.next > b.told
}

// finish waits until both sides have read everything, if the other side calls finish, too.
// The lanes can be closed then in any order.
func (b *bundle) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finishing = true
	b.work.Broadcast()
	for b.err == nil && (b.acked < b.wrote || b.told < b.next) {
		b.room.Wait()
	}
}

// Reset implements conn.
func (b *bundle) Reset(err error) {
	b.first.Reset(err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failLocked(fmt.Errorf("%w: %w", net.ErrClosed, err))
}

// Done implements conn.
func (b *bundle) Done() <-chan struct{} { return b.first.Done() }

// close closes all lanes and waits for their goroutines.
func (b *bundle) close() {
	b.first.Close()
	b.mu.Lock()
	b.failLocked(net.ErrClosed)
	b.mu.Unlock()
	b.loops.Wait()
}
