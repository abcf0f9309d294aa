package files

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// laneEnd is one end of a lane of a test, which may be the first one.
type laneEnd struct {
	net.Conn
	reset *ending // of both ends
}

// ending is the reason for which a lane has ended.
type ending struct {
	once sync.Once
	err  error
	done chan struct{}
}

func (l laneEnd) end(err error) error {
	l.reset.once.Do(func() { l.reset.err = err; close(l.reset.done) })
	return l.Conn.Close()
}

func (l laneEnd) Close() error          { return l.end(io.EOF) }
func (l laneEnd) Reset(err error)       { _ = l.end(err) }
func (l laneEnd) Done() <-chan struct{} { return l.reset.done }
func (l laneEnd) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if err != nil {
		<-l.reset.done
		err = l.reset.err
	}
	return n, err
}

func newLane() (a, b laneEnd) {
	x, y := net.Pipe()
	e := &ending{done: make(chan struct{})}
	return laneEnd{x, e}, laneEnd{y, e}
}

// bundles returns both ends of a bundle with so many lanes, and the lanes.
func bundles(t *testing.T, n int) (a, b *bundle, lanes []laneEnd) {
	t.Helper()
	for i := range n {
		x, y := newLane()
		lanes = append(lanes, x)
		if i == 0 {
			a, b = newBundle(x, n-1), newBundle(y, n-1)
			continue
		}
		a.add(x)
		b.add(y)
	}
	t.Cleanup(func() { a.close(); b.close() })
	return a, b, lanes
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// exchange writes the content to one end and reads it at the other, where step is called
// after each read. Both ends finish.
func exchange(t *testing.T, from, to *bundle, content []byte, step func(read int)) {
	t.Helper()
	var both sync.WaitGroup
	both.Go(func() {
		for rest := content; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(400_000))
			if _, err := from.Write(rest[:n]); err != nil {
				t.Errorf("write: %v, want no error", err)
				return
			}
			rest = rest[n:]
		}
		from.finish()
	})
	got := make([]byte, 0, len(content))
	buf := make([]byte, 300_000)
	for len(got) < len(content) {
		n, err := to.Read(buf[:1+rand.IntN(len(buf))])
		if err != nil {
			t.Fatalf("read after %d bytes: %v, want no error", len(got), err)
		}
		got = append(got, buf[:n]...)
		step(len(got))
	}
	to.finish()
	both.Wait()
	if !bytes.Equal(got, content) {
		t.Error("the bytes that were read are not those that were written, in their order")
	}
	if from.acked != from.wrote {
		t.Errorf("%d bytes are acknowledged at the end, want all %d", from.acked, from.wrote)
	}
}

func TestABundleKeepsTheOrder(t *testing.T) {
	for _, lanes := range []int{1, 2, 7} {
		a, b, _ := bundles(t, lanes)
		content := randomBytes(30 << 20)
		exchange(t, a, b, content, func(int) {})
		exchange(t, b, a, content[:3<<20], func(int) {})
	}
}

// A lane may end at any byte, and so may all but the first.
func TestABundleOutlivesItsLanes(t *testing.T) {
	content := randomBytes(4 << 20)
	for i := range 40 {
		a, b, lanes := bundles(t, 4)
		from, to := a, b
		if i%2 == 1 {
			from, to = b, a
		}
		exchange(t, from, to, content, func(read int) {
			for l := 1; l < len(lanes); l++ {
				if read > len(content)*(i+l*5)/60 {
					lanes[l].Close()
				}
			}
		})
	}
}

// A lane that is open and passes nothing on is given up after a time, whichever chunks it
// has.
func TestAStuckLaneIsGivenUp(t *testing.T) {
	for _, size := range []int{100, 3 * chunkSize, 9 << 20} {
		synctest.Test(t, func(t *testing.T) {
			a, b, _ := bundles(t, 2)
			stuck, _ := newLane() // its other end reads nothing
			a.add(stuck)
			began := time.Now()
			exchange(t, a, b, randomBytes(size), func(int) {})
			// Another lane may have taken all there was.
			if took := time.Since(began); took > 2*stuckTime {
				t.Errorf("%d bytes took %v, want at most twice %v", size, took, stuckTime)
			}
			a.close()
			b.close()
		})
	}
}

// A reader that waits because nothing was written gives up no lane.
func TestAnIdleBundleKeepsItsLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := bundles(t, 3)
		var reader sync.WaitGroup
		reader.Go(func() {
			if _, err := io.ReadFull(b, make([]byte, 10*chunkSize)); err != nil {
				t.Error(err)
			}
		})
		for range 5 {
			time.Sleep(3 * stuckTime)
			if _, err := a.Write(make([]byte, 2*chunkSize)); err != nil {
				t.Error(err)
			}
		}
		reader.Wait()
		a.mu.Lock()
		if len(a.lanes) != 3 {
			t.Errorf("%d lanes are left, want all 3", len(a.lanes))
		}
		a.mu.Unlock()
		a.close()
		b.close()
	})
}

func TestABundleEndsWithItsFirstLane(t *testing.T) {
	reason := errors.New("the reason")
	a, b, lanes := bundles(t, 3)
	lanes[0].Reset(reason)
	for _, end := range []*bundle{a, b} {
		if _, err := end.Read(make([]byte, 1)); !errors.Is(err, reason) {
			t.Errorf("read: got %v, want the reason for which the first lane has ended", err)
		}
		if _, err := end.Write([]byte("x")); !errors.Is(err, reason) {
			t.Errorf("write: got %v, want the reason for which the first lane has ended", err)
		}
		end.finish() // does not wait for an end that is gone
	}
}

// A writer is ahead of the reader by no more than the window.
func TestABundleIsBounded(t *testing.T) {
	a, b, _ := bundles(t, 2)
	var writer sync.WaitGroup
	writer.Go(func() {
		for block := make([]byte, chunkSize); ; {
			if _, err := a.Write(block); err != nil {
				return
			}
		}
	})
	state := func(f func()) { a.mu.Lock(); defer a.mu.Unlock(); f() }
	for full := false; !full; {
		state(func() { full = a.wrote == a.window })
	}
	for all := int64(0); all < a.window; {
		b.mu.Lock()
		all = b.held
		b.mu.Unlock()
	}
	if _, err := io.ReadFull(b, make([]byte, b.window/2)); err != nil {
		t.Fatal(err)
	}
	for more := false; !more; { // nothing tells what Write has taken
		state(func() { more = a.wrote >= a.window+a.window/4 })
	}
	state(func() {
		if a.wrote > a.acked+a.window {
			t.Errorf("%d bytes are written and %d acknowledged, want no more than %d between", a.wrote, a.acked, a.window)
		}
	})
	a.Reset(core.ErrClosed)
	writer.Wait()
}

// A peer that breaks the rules ends the bundle.
func TestForgedHeadsOnALane(t *testing.T) {
	head := func(kind byte, at int64, size int) []byte {
		b := make([]byte, headSize)
		putHead(b, kind, at, size)
		return b
	}
	chunk := func(at int64, size int) []byte { return append(head(kindChunk, at, size), make([]byte, size)...) }
	for what, said := range map[string][]byte{
		"an unknown kind":             head('X', 0, 0),
		"a chunk that is too long":    head(kindChunk, 0, chunkSize+1),
		"an empty chunk":              head(kindChunk, 0, 0),
		"a negative number":           head(kindChunk, -1, 1),
		"a chunk beyond the window":   chunk(1<<62, 1),
		"an acknowledgment too much":  head(kindAck, 1, 0),
		"an acknowledgment with data": head(kindAck, 0, 1),
	} {
		x, y := newLane()
		b := newBundle(x, 0)
		_, _ = y.Write(said) // it fails where the other end closes before the last byte
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, core.ErrProtocol) {
			t.Errorf("%s: got %v, want a violation of the protocol", what, err)
		}
		b.close()
	}
	// Chunks that overlap can't take more memory than the window.
	x, y := newLane()
	b := newBundle(x, 0)
	for i := int64(1); i < 2*b.window/chunkSize; i++ {
		if _, err := y.Write(chunk(i, chunkSize)); err != nil {
			break
		}
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, core.ErrProtocol) || b.held > b.window+chunkSize {
		t.Errorf("chunks that overlap: got %v with %d bytes, want a violation of the protocol at %d", err, b.held, b.window)
	}
	b.close()
}

// The other end of a copy names the socket to which others connect. It may be hostile.
func TestDoorsAreSocketsOfCopies(t *testing.T) {
	l, remove, err := listenHere()
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	defer l.Close()
	other, err := net.Listen("unix", filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	secret, us := make([]byte, secretSize), os.Getuid()
	for what, d := range map[string]door{
		"another socket":            {other.Addr().String(), secret, us},
		"a secret of another size":  {l.Addr().String(), secret[1:], us},
		"another user":              {l.Addr().String(), secret, us + 1},
		"a socket that is not here": {l.Addr().String() + "x", secret, us},
	} {
		if c, err := d.dial(t.Context()); err == nil {
			c.Close()
			t.Errorf("%s: no error, want that it is refused", what)
		}
	}
	c, err := (&door{l.Addr().String(), secret, us}).dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// Who knows no secret gets no lane, and holds up none.
func TestADoorWantsTheSecret(t *testing.T) {
	x, y := newLane()
	var far sync.WaitGroup
	far.Go(func() {
		err := acceptLanes(x, 1, func(c conn) error {
			_, err := io.ReadFull(c, make([]byte, 1<<20))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	d, err := readDoor(y)
	if err != nil {
		t.Fatal(err)
	}
	silent, err := d.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	wrong, err := d.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if _, err := wrong.Write(make([]byte, secretSize)); err != nil {
		t.Fatal(err)
	}
	if n, err := wrong.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("got %d bytes, %v after a wrong secret, want an end", n, err)
	}
	right, err := d.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := right.Write(d.Secret); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(right, make([]byte, headSize)); err != nil {
		t.Fatalf("%v after the secret, want a first head", err)
	}
	b := newBundle(y, 1)
	b.add(right)
	if _, err := b.Write(make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
	b.finish()
	far.Wait()
	b.close()
	if n, err := silent.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("got %d bytes, %v on a connection that has said nothing, want that it ends with the copy", n, err)
	}
}
