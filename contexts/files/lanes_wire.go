package files

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"time"

	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
)

// On a lane each chunk has a head: one byte for the kind, the number of its first byte in
// eight, and its length in four, most significant byte first. An acknowledgment is a head
// alone: the number is that of the next byte that the sender of it will read, and the
// length is 0. It may say besides that this byte has not come for long.
const (
	headSize    = 1 + 8 + 4
	kindChunk   = 'C'
	kindAck     = 'A'
	kindMissing = 'M'
)

func putHead(b []byte, kind byte, at int64, size int) {
	b[0] = kind
	binary.BigEndian.PutUint64(b[1:], uint64(at))
	binary.BigEndian.PutUint32(b[9:], uint32(size))
}

func readHead(r io.Reader) (kind byte, at int64, size int, err error) {
	var b [headSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, 0, err
	}
	return b[0], int64(binary.BigEndian.Uint64(b[1:])), int(binary.BigEndian.Uint32(b[9:])), nil
}

// sendOn sends chunks over a lane until the lane or the bundle ends.
func (b *bundle) sendOn(l *lane) error {
	for {
		c, kind, ack, err := b.nextFor(l)
		if err != nil {
			return err
		}
		if c == nil {
			var head [headSize]byte
			putHead(head[:], kind, ack, 0)
			if _, err := l.conn.Write(head[:]); err != nil {
				return err
			}
			b.toldOf(ack)
			continue
		}
		_, err = l.conn.Write(c.memory[:headSize+len(c.data)])
		b.written(c)
		if err != nil {
			return err
		}
	}
}

// nextFor waits for a chunk that the lane has to send, or an acknowledgment. Only the first
// lane, which lasts as long as the bundle, has acknowledgments.
func (b *bundle) nextFor(l *lane) (c *chunk, kind byte, ack int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case b.err != nil:
			return nil, 0, 0, b.err
		case l.ended:
			return nil, 0, 0, io.EOF
		case l.conn == b.first && b.missing:
			b.missing = false
			return nil, kindMissing, b.next, nil
		case l.conn == b.first && b.ackDueLocked():
			return nil, kindAck, b.next, nil
		case len(b.queue) > 0:
			c, b.queue = b.queue[0], b.queue[1:]
			c.lane, c.since = l, time.Now()
			c.writing++
			return c, 0, 0, nil
		}
		b.work.Wait()
	}
}

func (b *bundle) toldOf(ack int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = ack
	b.room.Broadcast()
}

// written notes that a lane no longer uses the memory of a chunk.
func (b *bundle) written(c *chunk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.writing--; c.done && c.writing == 0 {
		c.free()
	}
}

// receiveOn takes chunks and acknowledgments from a lane until it ends.
func (b *bundle) receiveOn(l *lane) error {
	r := bufio.NewReaderSize(l.conn, 64<<10)
	for {
		kind, at, size, err := readHead(r)
		if err != nil {
			return err
		}
		switch {
		case (kind == kindAck || kind == kindMissing) && size == 0:
			if err = b.acknowledged(at); err == nil && kind == kindMissing {
				b.giveUpStuck()
			}
		case kind == kindChunk && size > 0 && size <= chunkSize && at >= 0:
			c := newChunk(at, size)
			if _, err = io.ReadFull(r, c.data); err == nil {
				err = b.came(c)
			}
		default:
			err = wire.ProtocolError("a head on a lane that makes no sense")
		}
		if err != nil {
			return err
		}
	}
}

// acknowledged takes how many bytes the other side has read.
func (b *bundle) acknowledged(at int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at < b.acked || at > b.wrote {
		return wire.ProtocolError("bytes are acknowledged that were not sent")
	}
	b.acked = at
	for len(b.kept) > 0 && b.kept[0].end() <= at {
		c := b.kept[0]
		b.kept[0], b.kept = nil, b.kept[1:]
		c.done = true
		if c.lane == nil { // a lane has ended that had sent it
			b.queue = slices.DeleteFunc(b.queue, func(other *chunk) bool { return other == c })
		}
		if c.writing == 0 {
			c.free()
		}
	}
	b.room.Broadcast()
	return nil
}

// giveUpStuck ends the lane that has the chunk for which the reader waits, if it has had that
// for a good part of the time for which the reader waits. Before, there was none.
func (b *bundle) giveUpStuck() {
	b.mu.Lock()
	var l *lane
	if len(b.kept) > 0 && time.Since(b.kept[0].since) >= stuckTime/2 {
		l = b.kept[0].lane
	}
	b.mu.Unlock()
	if l != nil && l.conn != b.first {
		b.end(l, os.ErrDeadlineExceeded)
	}
}

// came takes a chunk. One that has come before is dropped.
func (b *bundle) came(c *chunk) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.at < b.next || b.ahead[c.at] != nil {
		c.free()
		return nil
	}
	if b.held += int64(len(c.data)); b.held > b.window || c.end()-b.next > b.window {
		return wire.ProtocolError("a chunk is too far ahead")
	}
	b.ahead[c.at] = c
	if c.at == b.next {
		b.arrived.Signal()
	}
	return nil
}
