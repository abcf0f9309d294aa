package files

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
	"github.com/mitosis-go/mitosis/core"
)

// pipe is a connection whose Reset works like that of a stream.
type pipe struct {
	net.Conn
	mu   *sync.Mutex
	err  *error
	from **pipe // the end that was reset with it
	peer *pipe
	// budget is how many bytes may still be written to it before it breaks;
	// negative: no bound.
	budget *int
	done   chan struct{} // closed by the first Reset of either end
}

func (p *pipe) Done() <-chan struct{} { return p.done }

var errCut = errors.New("the connection was cut")

func newPipe(budget int) (a, b *pipe) {
	x, y := net.Pipe()
	one := pipe{mu: new(sync.Mutex), err: new(error), from: new(*pipe), budget: &budget, done: make(chan struct{})}
	two := one
	a, b = &one, &two
	a.Conn, b.Conn = x, y
	a.peer, b.peer = b, a
	return a, b
}

func (p *pipe) Reset(err error) {
	p.mu.Lock()
	first := *p.err == nil
	if first {
		*p.err, *p.from = err, p
	}
	p.mu.Unlock()
	p.Conn.Close()
	p.peer.Conn.Close()
	if first {
		close(p.done) // now that nothing can be written
	}
}

func (p *pipe) reason(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil || *p.err == nil {
		return err
	}
	if *p.from == p || *p.err == errCut {
		return *p.err
	}
	return core.DecodeError(core.EncodeError(*p.err)) // as it travels
}

func (p *pipe) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	return n, p.reason(err)
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	send, cut := b, false
	if *p.budget >= 0 {
		send = b[:min(len(b), *p.budget)]
		*p.budget -= len(send)
		cut = len(send) < len(b)
	}
	p.mu.Unlock()
	n, err := p.Conn.Write(send)
	if cut {
		p.Reset(errCut)
		return n, errCut
	}
	return n, p.reason(err)
}

// copyOver copies over a pipe that breaks after so many bytes.
func copyOver(t testing.TB, src *source, target string, o Options, budget int) (sent, got Result, sendErr, getErr error) {
	t.Helper()
	a, b := newPipe(budget)
	done := make(chan struct{})
	remote := o
	remote.Progress = nil
	go func() {
		defer close(done)
		got, getErr = receive(b, target, remote, true)
	}()
	sent, sendErr = sendTree(a, src, o)
	<-done
	a.Conn.Close()
	b.Conn.Close()
	return sent, got, sendErr, getErr
}

func open(t testing.TB, path string) *source {
	t.Helper()
	src, err := openSource(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.close() })
	return src
}

// mustCopy copies and expects it to work.
func mustCopy(t testing.TB, source, target string, o Options) Result {
	t.Helper()
	src := open(t, source)
	defer src.close()
	sent, got, err, getErr := copyOver(t, src, target, o, -1)
	if err != nil || getErr != nil {
		t.Fatalf("the sender returns %v and the receiver %v, want no errors", err, getErr)
	}
	if sent.Target != got.Target || sent.Source != got.Source || sent.Size != got.Size || sent.Sent != got.Sent || sent.SHA256 != got.SHA256 {
		t.Errorf("the sender returns %+v and the receiver %+v, want the same", sent, got)
	}
	return sent
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

// names lists a directory, hidden files included.
func names(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range list {
		all = append(all, e.Name())
	}
	return all
}

func TestAFileArrives(t *testing.T) {
	for _, size := range []int{0, 1, smallFile, smallFile + 1, wire.BlockSize, 5*wire.BlockSize + 17} {
		dir := t.TempDir()
		content := noise(size)
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to", "target")
		write(t, from, content)
		write(t, filepath.Join(dir, "to", "other"), nil)
		if err := os.Chmod(from, 0o754); err != nil {
			t.Fatal(err)
		}
		then := time.Unix(1_000_000_000, 123456789)
		if err := os.Chtimes(from, then, then); err != nil {
			t.Fatal(err)
		}
		res := mustCopy(t, from, to, Options{Times: true, Sync: true})
		if res.Source != from || res.Target != to || res.Size != int64(size) || res.Files != 1 || res.SHA256 != sha256.Sum256(content) || res.Sent != int64(size) {
			t.Errorf("%d bytes: got %+v, want one file, all of it sent, and its checksum", size, res)
		}
		got, err := os.ReadFile(to)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %d arrived, %v; want the contents of the source", size, len(got), err)
		}
		info, err := os.Stat(to)
		if err != nil || info.Mode() != 0o754 || !info.ModTime().Equal(then) {
			t.Errorf("got %v %v, %v; want mode 0754 and %v", info.Mode(), info.ModTime(), err, then)
		}
		if left := names(t, filepath.Dir(to)); len(left) != 2 {
			t.Errorf("the directory has %q, want the source and the target only", left)
		}
		// And again, over what is there.
		write(t, from, noise(size+1))
		mustCopy(t, from, to, Options{Mode: 0o600})
		if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, noise(size+1)) {
			t.Errorf("the second time %d bytes arrived, %v; want %d", len(got), err, size+1)
		}
		if info, err := os.Stat(to); err != nil || info.Mode() != 0o600 {
			t.Errorf("the second time the mode is %v, %v; want 0600", info.Mode(), err)
		}
		if left := names(t, filepath.Dir(to)); len(left) != 2 {
			t.Errorf("the directory has %q, want the source and the target only", left)
		}
	}
}

func TestAReaderArrives(t *testing.T) {
	for _, size := range []int{0, 3, 3*wire.BlockSize + 1} {
		to := filepath.Join(t.TempDir(), "target")
		src, err := sourceOf(io.MultiReader(bytes.NewReader(noise(size)), strings.NewReader("end")))
		if err != nil {
			t.Fatal(err)
		}
		res, _, err, getErr := copyOver(t, src, to, Options{}, -1)
		want := append(noise(size), "end"...)
		if err != nil || getErr != nil || res.Size != int64(len(want)) || res.SHA256 != sha256.Sum256(want) {
			t.Errorf("got %+v, %v, %v; want %d bytes and their checksum", res, err, getErr, len(want))
		}
		if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived, %v; want %d", len(got), err, len(want))
		}
	}
}

func TestWithoutATargetANewNameIsMade(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	from := filepath.Join(t.TempDir(), "from")
	write(t, from, []byte("x"))
	one, two := mustCopy(t, from, "", Options{}), mustCopy(t, from, "", Options{})
	if filepath.Dir(one.Target) != os.TempDir() || one.Target == two.Target {
		t.Errorf("got %q and %q, want two names among the temporary files", one.Target, two.Target)
	}
}

func TestWhatIsThereIsNotSentAgain(t *testing.T) {
	for _, size := range []int{10, smallFile, 3 * wire.BlockSize} {
		for _, known := range []bool{false, true} {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			write(t, from, noise(size))
			write(t, to, noise(size))
			before, err := os.Stat(to)
			if err != nil {
				t.Fatal(err)
			}
			src := open(t, from)
			if known {
				if err := src.hash(); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(from, 0o600); err != nil {
				t.Fatal(err)
			}
			res, _, err, getErr := copyOver(t, src, to, Options{Mode: 0o444}, -1)
			if err != nil || getErr != nil || res.Sent != 0 || res.Size != int64(size) || res.SHA256 != sha256.Sum256(noise(size)) {
				t.Errorf("got %+v, %v, %v; want that nothing of %d bytes is sent, and the checksum", res, err, getErr, size)
			}
			after, err := os.Stat(to)
			if err != nil || !os.SameFile(before, after) || after.Mode() != 0o444 {
				t.Errorf("the file is another or its mode is %v, %v; want the same file with mode 0444", after.Mode(), err)
			}
			// Another of the same size is sent.
			b := noise(size)
			b[size-1]++
			write(t, from, b)
			if res := mustCopy(t, from, to, Options{}); res.Sent != int64(size) || res.SHA256 != sha256.Sum256(b) {
				t.Errorf("after a change: got %+v, want that %d bytes are sent, and their checksum", res, size)
			}
		}
	}
}

// failures are the ordinary ones: each has to name the file, to be recognised,
// and to leave things as they were.
func TestFailures(t *testing.T) {
	full := fullDisk(t)
	cases := []struct {
		name   string
		size   int
		target string
		o      Options
		want   error
	}{
		{"missing parent", 10, "none/target", Options{}, fs.ErrNotExist},
		{"target is a directory", 10, "dir", Options{}, syscall.EISDIR},
		{"parent is a file", 10, "old/target", Options{}, syscall.ENOTDIR},
		{"target exists", 10, "old", Options{NoReplace: true}, fs.ErrExist},
		{"too large", wire.BlockSize * 2, "target", Options{MaxBytes: wire.BlockSize}, nil},
		{"full disk", 3 << 20, full + "/target", Options{}, syscall.ENOSPC},
		{"full disk, small", 50 << 10, full + "/target", Options{}, syscall.ENOSPC},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.target, "/") && full == "" {
				t.Skip("no small file system can be mounted here")
			}
			dir := t.TempDir()
			from := filepath.Join(t.TempDir(), "from")
			write(t, from, noise(c.size))
			write(t, filepath.Join(dir, "old"), []byte("old"))
			if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
				t.Fatal(err)
			}
			target := c.target
			if !filepath.IsAbs(target) {
				target = filepath.Join(dir, target)
			}
			_, _, err, getErr := copyOver(t, open(t, from), target, c.o, -1)
			for _, err := range []error{err, getErr} {
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), target) {
					t.Errorf("%v is not %v, or does not name the target", err, c.want)
				}
			}
			if left := names(t, dir); len(left) != 2 {
				t.Errorf("the directory has %q, want the two files that were there", left)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "old")); err != nil || string(b) != "old" {
				t.Errorf("the old file has %q, %v; want that it stays", b, err)
			}
			if full != "" {
				if left := names(t, full); len(left) != 1 {
					t.Errorf("on the full disk there is %q, want what was there", left)
				}
			}
		})
	}
}

func TestASourceThatVanishes(t *testing.T) {
	_, err := openSource(filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// changing is a file that changes while it is copied: when the first block of
// it has been sent.
func changing(t *testing.T, change func(path string)) (Result, string, error) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(t, from, noise(20*wire.BlockSize))
	write(t, to, []byte("old"))
	once := sync.OnceFunc(func() { change(from) })
	res, _, err, getErr := copyOver(t, open(t, from), to, Options{Progress: func(Progress) { once() }}, -1)
	if (err == nil) != (getErr == nil) {
		t.Errorf("the sender returns %v and the receiver %v, want that both fail or none", err, getErr)
	}
	if left := names(t, dir); len(left) != 2 {
		t.Errorf("the directory has %q, want the source and the target only", left)
	}
	b, readErr := os.ReadFile(to)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return res, string(b), err
}

func TestASourceThatGrows(t *testing.T) {
	res, got, err := changing(t, func(path string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString("more"); err != nil {
			t.Fatal(err)
		}
	})
	if err != nil || res.Size != 20*wire.BlockSize || got != string(noise(20*wire.BlockSize)) {
		t.Errorf("got %d bytes, %v; want %d, the size when the file was opened", res.Size, err, 20*wire.BlockSize)
	}
}

func TestASourceThatShrinks(t *testing.T) {
	_, got, err := changing(t, func(path string) {
		if err := os.Truncate(path, wire.BlockSize); err != nil {
			t.Fatal(err)
		}
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "from") || got != "old" {
		t.Errorf("got %v, and the target has %d bytes; want io.ErrUnexpectedEOF with the name of the source, and the old target", err, len(got))
	}
}
