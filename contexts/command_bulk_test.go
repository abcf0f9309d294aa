//go:build unix

package contexts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// counted is an endless input that counts the bytes read of it.
type counted struct{ n atomic.Int64 }

func (c *counted) Read(b []byte) (int, error) {
	const total = 64 << 20
	n := min(int64(len(b)), total-c.n.Load())
	if n == 0 {
		return 0, io.EOF
	}
	c.n.Add(n)
	return int(n), nil
}

// A command that reads slowly holds up only its own input.
func TestSlowReader(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	n := child(t, child(t, start(t, nil)))
	c := shell(t, n, `dd bs=1 count=1 2>/dev/null | wc -c; read -r go <"$1"; wc -c`, gate)
	in := new(counted)
	c.Stdin = in
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var read int64
	for same := 0; same < 10; {
		now := in.n.Load()
		if same++; now != read || now == 0 {
			same, read = 0, now
		}
		if _, err := n.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Millisecond)
	}
	if read > 2<<20 {
		t.Errorf("%d bytes were read ahead of the command, want at most 2 MiB", read)
	}
	if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(out)
	if err := errors.Join(err, c.Wait()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(b)); len(got) != 2 || got[0] != "1" || got[1] != fmt.Sprint(64<<20-1) {
		t.Errorf("the command printed %q, want 1 and %d", b, 64<<20-1)
	}
}

// peak returns the most resident memory that a context has had, in bytes.
var peak = contexts.NewFunc("test.peak", func(context.Context, struct{}) (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	var kib int64
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	_, scanErr := fmt.Sscan(rest, &kib)
	return kib << 10, errors.Join(err, scanErr)
})

func TestCommandPrintsMuch(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() {
		size = 64 << 20
	}
	self := start(t, nil)
	middle := child(t, self)
	leaf := child(t, middle)
	measure := func() (sum int64) {
		for _, n := range []*contexts.Node{self, middle, leaf} {
			p, err := peak.Call(t.Context(), n, struct{}{})
			if err != nil {
				t.Skipf("this system does not tell the memory of a process: %v", err)
			}
			sum += p
		}
		return sum
	}
	// A heap that was large in another test may grow to that size again, so it counts as used.
	runtime.GC()
	before := measure()
	c := leaf.Command(t.Context(), "head", "-c", fmt.Sprint(size), "/dev/zero")
	var got int64
	c.Stdout = writerFunc(func(b []byte) (int, error) { got += int64(len(b)); return len(b), nil })
	begin := time.Now()
	if err := c.Run(); err != nil || got != size {
		t.Fatalf("%d bytes of output arrived, error %v, want %d", got, err, size)
	}
	more := measure() - before
	t.Logf("%d MiB in %v, %d MiB more memory in three contexts", size>>20, time.Since(begin), more>>20)
	if more > 192<<20 {
		t.Errorf("%d MiB of output took %d MiB of memory, want at most 192", size>>20, more>>20)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestManyCommandsAtOnce(t *testing.T) {
	n := child(t, child(t, start(t, nil)))
	const many = 100
	errs := make(chan error, many)
	for i := range many {
		go func() {
			c := shell(t, n, `cat; exit "$1"`, fmt.Sprint(i))
			c.Stdin = strings.NewReader(fmt.Sprint("input ", i))
			out, err := c.Output()
			exit, _ := errors.AsType[*contexts.ExitError](err)
			if string(out) != fmt.Sprint("input ", i) || i > 0 && (exit == nil || exit.Code != i) || i == 0 && err != nil {
				errs <- fmt.Errorf("command %d printed %q and ended with %w, want its input and the status %d", i, out, err, i)
				return
			}
			errs <- nil
		}()
	}
	for range many {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
