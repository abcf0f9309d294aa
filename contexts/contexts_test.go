package contexts_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// appError is an error type of the application.
type appError struct{ Code int }

func (e *appError) Error() string { return fmt.Sprintf("application error %d", e.Code) }

func init() { contexts.RegisterErrorType[*appError]("contexts_test.appError") }

var (
	echo = contexts.NewFunc("test.echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	pid  = contexts.NewFunc("test.pid", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })
	open = contexts.NewFunc("test.open", func(_ context.Context, path string) (struct{}, error) {
		f, err := os.Open(path)
		if err == nil {
			f.Close()
		}
		return struct{}{}, err
	})
	fail = contexts.NewFunc("test.fail", func(_ context.Context, code int) (struct{}, error) {
		return struct{}{}, fmt.Errorf("wrapped: %w", &appError{code})
	})
	pretend = contexts.NewFunc("test.pretend", func(context.Context, struct{}) (struct{}, error) {
		return struct{}{}, contexts.ErrGone
	})
	panics = contexts.NewFunc("test.panic", func(_ context.Context, s string) (struct{}, error) { panic(s) })
	sum    = contexts.NewFunc("test.sum", func(_ context.Context, b []byte) ([32]byte, error) { return sha256.Sum256(b), nil })
	block  = contexts.NewFunc("test.block", func(ctx context.Context, tell *contexts.Node) (struct{}, error) {
		// The cancellation may be faster than the answer to this.
		if _, err := mark.Call(context.WithoutCancel(ctx), tell, "blocked"); err != nil {
			return struct{}{}, err
		}
		<-ctx.Done()
		_, err := mark.Call(context.WithoutCancel(ctx), tell, "released: "+context.Cause(ctx).Error())
		return struct{}{}, errors.Join(ctx.Err(), err)
	})
	left = contexts.NewFunc("test.left", func(ctx context.Context, _ struct{}) (time.Duration, error) {
		d, ok := ctx.Deadline()
		if !ok {
			return 0, errors.New("no deadline arrived")
		}
		return time.Until(d), nil
	})
	leftBeyond = contexts.NewFunc("test.left.beyond", func(ctx context.Context, on *contexts.Node) (time.Duration, error) {
		return left.Call(ctx, on, struct{}{})
	})
	order  = contexts.NewFunc("test.order", func(_ context.Context, n int) (int, error) { return n, orderOf(n) }, contexts.Serial)
	whoami = contexts.NewFunc("test.whoami", func(ctx context.Context, _ struct{}) (string, error) {
		return contexts.Self(ctx).String() + " called by " + contexts.Caller(ctx).String(), nil
	})
	relayCall = contexts.NewFunc("test.relay", func(ctx context.Context, to *contexts.Node) (string, error) {
		return whoami.Call(ctx, to, struct{}{})
	})
	spawn = contexts.NewFunc("test.spawn", func(ctx context.Context, _ struct{}) (*contexts.Node, error) {
		return contexts.Self(ctx).Connect(ctx, local.Child{})
	})
	logs = contexts.NewFunc("test.logs", func(context.Context, struct{}) (struct{}, error) {
		slog.With("a", 1).WithGroup("g").Warn("a record", "b", "two")
		slog.Debug("too quiet")
		fmt.Println("printed")
		fmt.Fprint(os.Stderr, "shouted\n")
		return struct{}{}, nil
	})
	count = contexts.NewSeqFunc("test.count", func(ctx context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			if n == 13 {
				yield(0, fs.ErrExist)
			}
		}
	})
	shout = contexts.NewConnFunc("test.shout", func(_ context.Context, c net.Conn, suffix string) error {
		b, err := io.ReadAll(c)
		if err != nil {
			return err
		}
		_, err = io.WriteString(c, strings.ToUpper(string(b))+suffix)
		return err
	})
)

// mark keeps a text in the master. Children call it.
var mark = contexts.NewFunc("test.mark", func(_ context.Context, s string) (struct{}, error) {
	marks.add(s)
	return struct{}{}, nil
}, contexts.AllowDescendants)

var ordered []int

func orderOf(n int) error {
	ordered = append(ordered, n)
	if len(ordered) != n+1 {
		return fmt.Errorf("call %d came as number %d", n, len(ordered)-1)
	}
	return nil
}

type markBoard struct {
	mu   sync.Mutex
	list []string
	wake chan struct{}
}

var marks = markBoard{wake: make(chan struct{}, 1)}

func (m *markBoard) add(s string) {
	m.mu.Lock()
	m.list = append(m.list, s)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default: // the channel already has a signal
	}
}

// await waits until some mark begins with prefix.
func (m *markBoard) await(t *testing.T, prefix string) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		m.mu.Lock()
		for i, s := range m.list {
			if strings.HasPrefix(s, prefix) {
				m.list = append(m.list[:i], m.list[i+1:]...)
				m.mu.Unlock()
				return s
			}
		}
		m.mu.Unlock()
		select {
		case <-m.wake:
		case <-deadline:
			t.Fatalf("no context has sent a mark that begins with %q", prefix)
		}
	}
}

var start, child = treetest.Start, treetest.Child

// kill ends the process of a context without a warning.
func kill(t *testing.T, n *contexts.Node) {
	t.Helper()
	victim, err := os.FindProcess(must(pid.Call(t.Context(), n, struct{}{})))
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
}
