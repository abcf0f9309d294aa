package contexts_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// mortal is a hop to a local child. The test can make its link break.
type mortal struct {
	local.Child
	link *mortalLink // set by Open
}

func (m *mortal) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	c, err := m.Child.Open(ctx, e)
	if err != nil {
		return nil, err
	}
	m.link = &mortalLink{Carrier: c}
	return m.link, nil
}

// mortalLink breaks after a number of bytes in both directions together, within a read or a write.
type mortalLink struct {
	bootstrap.Carrier
	moved atomic.Int64
	last  atomic.Int64 // number of bytes after which it breaks; 0 for never
	once  sync.Once
	err   error
}

var errBroken = errors.New("the link broke")

// breakAfter makes the link break after n more bytes.
func (l *mortalLink) breakAfter(n int64) { l.last.Store(l.moved.Load() + n) }

// pass counts n bytes and returns how many of them come before the break.
func (l *mortalLink) pass(n int) (int, error) {
	moved, last := l.moved.Add(int64(n)), l.last.Load()
	if last == 0 || moved < last {
		return n, nil
	}
	go l.Close() // both directions end at once, as when a tool ends
	return int(max(0, int64(n)-(moved-last))), errBroken
}

func (l *mortalLink) Read(b []byte) (int, error) {
	n, err := l.Carrier.Read(b)
	if n > 0 {
		var broken error
		if n, broken = l.pass(n); broken != nil {
			err = broken
		}
	}
	return n, err
}

func (l *mortalLink) Write(b []byte) (int, error) {
	n, broken := l.pass(len(b))
	n, err := l.Carrier.Write(b[:n])
	return n, errors.Join(err, broken)
}

// TryWrite implements router.TryWriter.
func (l *mortalLink) TryWrite(b []byte) int {
	n := l.Carrier.(interface{ TryWrite([]byte) int }).TryWrite(b)
	n, _ = l.pass(n)
	return n
}

func (l *mortalLink) Close() error {
	l.once.Do(func() { l.err = l.Carrier.Close() })
	return l.err
}

// deathPoints returns the number of points of each job at which the link breaks.
func deathPoints() int64 {
	if testing.Short() {
		return 20
	}
	return 200
}

// jobTime bounds a job whose link breaks.
const jobTime = 5 * time.Second

// TestTheLinkDies breaks the link at up to 200 points of several jobs. Each time the job ends soon
// with an error that says so, and nothing is left. (Package files has the same test for copies.)
func TestTheLinkDies(t *testing.T) {
	content := make([]byte, 150_000)
	for i := range content {
		content[i] = byte(i * i >> 8)
	}
	sum := sha256.Sum256(content)
	mark := "MITOSIS_TEST_JOB=" + t.TempDir()

	// echoes sends content from near to peer and back. One of the ends is at a context.
	echoes := func(near, peer net.Conn) error {
		defer near.Close()
		if err := near.SetDeadline(time.Now().Add(jobTime)); err != nil {
			return err
		}
		var both sync.WaitGroup
		defer both.Wait()
		both.Go(func() {
			defer peer.Close()
			_, _ = io.Copy(peer, peer)
		})
		sent := make(chan error, 1)
		both.Go(func() {
			_, err := near.Write(content)
			if err == nil {
				err = near.(interface{ CloseWrite() error }).CloseWrite()
			}
			sent <- err
		})
		got := sha256.New()
		n, err := io.Copy(got, near)
		if err = errors.Join(err, <-sent); err != nil {
			return err
		}
		if n != int64(len(content)) || !bytes.Equal(got.Sum(nil), sum[:]) {
			return fmt.Errorf("%d bytes came back without an error, want the %d that were sent", n, len(content))
		}
		return nil
	}
	jobs := map[string]func(context.Context, *contexts.Node) error{
		"command": func(ctx context.Context, n *contexts.Node) error {
			c := n.Command(ctx, "sh", "-c", "sleep 86400 & cat; kill $!")
			c.Env = append(c.Env, mark)
			c.Stdin = bytes.NewReader(content)
			out, err := c.Output()
			if err == nil && sha256.Sum256(out) != sum {
				err = fmt.Errorf("%d bytes came back without an error, want the %d that were sent", len(out), len(content))
			}
			return err
		},
		"forwarded": func(ctx context.Context, n *contexts.Node) error {
			if near, peer, err := dialled(ctx, n); err != nil {
				return err
			} else if err := echoes(near, peer); err != nil {
				return err
			}
			near, peer, err := accepted(ctx, n)
			if err != nil {
				return err
			}
			return echoes(near, peer)
		},
	}
	for name, job := range jobs {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			self := start(t, nil)
			whole := &mortal{}
			n := must(self.Connect(t.Context(), whole))
			before := whole.link.moved.Load()
			if err := job(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			size := whole.link.moved.Load() - before
			if err := n.Close(); err != nil {
				t.Error(err)
			}

			var workers sync.WaitGroup
			var next, failed atomic.Int64
			for range 4 {
				workers.Go(func() {
					for i := next.Add(1); i <= deathPoints(); i = next.Add(1) {
						if breakDuring(t, self, job, size*i/deathPoints()) {
							failed.Add(1)
						}
					}
				})
			}
			workers.Wait()
			// The number of bytes differs a little from job to job, so a few may end
			// before the break.
			if failed.Load() < deathPoints()*9/10 {
				t.Errorf("the link broke during %d of %d jobs, want at least nine tenths", failed.Load(), deathPoints())
			}
			eventually(t, "nothing of the jobs is left", func() bool { return len(descendants(mark)) == 0 })
			if t.Failed() {
				t.Logf("the processes that are left are %q", descendants(mark))
			}
		})
	}
}

// dialled returns a connection that a context makes to this host, and its other
// end.
func dialled(ctx context.Context, n *contexts.Node) (near, peer net.Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	if near, err = n.DialContext(ctx, "tcp", ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	if peer, err = ln.Accept(); err != nil {
		near.Close()
	}
	return near, peer, err
}

// accepted returns a connection that a context accepts, and its other end.
func accepted(ctx context.Context, n *contexts.Node) (near, peer net.Conn, err error) {
	ln, err := n.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	if peer, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		<-n.Done() // with the context the listener ends
		return nil, nil, n.Err()
	}
	if near, err = ln.Accept(); err != nil {
		peer.Close()
	}
	return near, peer, err
}

// breakDuring does a job over a link that breaks after at bytes of the job. It reports whether the
// job failed for that.
func breakDuring(t *testing.T, self *contexts.Node, job func(context.Context, *contexts.Node) error, at int64) bool {
	m := &mortal{}
	n, err := self.Connect(t.Context(), m)
	if err != nil {
		t.Error(err)
		return false
	}
	defer n.Close()
	ctx, cancel := context.WithTimeout(t.Context(), jobTime)
	defer cancel()
	m.link.breakAfter(at)
	err = job(ctx, n)
	if err == nil {
		return false
	}
	if !errors.Is(err, contexts.ErrGone) {
		t.Errorf("when the link broke after %d bytes the job ended with %v, want %v", at, err, contexts.ErrGone)
	}
	return true
}

// descendants lists the processes that are children of this one, or whose environment has an entry.
func descendants(entry string) (list []string) {
	for _, dir := range must(filepath.Glob("/proc/[0-9]*")) {
		stat, _ := os.ReadFile(dir + "/stat") // empty if the process has ended meanwhile
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		environ, _ := os.ReadFile(dir + "/environ")
		if len(fields) > 1 && fields[1] == fmt.Sprint(os.Getpid()) || slices.Contains(strings.Split(string(environ), "\x00"), entry) {
			list = append(list, string(stat))
		}
	}
	return list
}
