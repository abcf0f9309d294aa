package contexts_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// errand is a call that is passed on from context to context. Each calls the next one and returns
// its result. It adds words of its own to an error.
type errand struct {
	Way  []*contexts.Node
	What string // the task of the last context
	Tell *contexts.Node
}

var passOn = contexts.Declare[errand, time.Duration]("test.pass")

func init() {
	passOn.Define(func(ctx context.Context, e errand) (time.Duration, error) {
		if len(e.Way) > 0 {
			d, err := passOn.Call(ctx, e.Way[0], errand{e.Way[1:], e.What, e.Tell})
			if err != nil {
				err = fmt.Errorf("passed on: %w", err)
			}
			return d, err
		}
		switch e.What {
		case "joined":
			return 0, errors.Join(fs.ErrExist, &appError{3}, &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC})
		case "panic":
			panic("at the end")
		case "block":
			_, err := block.Call(ctx, contexts.Self(ctx), e.Tell)
			return 0, err
		}
		d, _ := ctx.Deadline()
		return time.Until(d), nil
	})
}

// Five contexts call one another in a row. Errors, deadlines and cancellations keep their meaning
// from one end to the other.
func TestPassedOnByFive(t *testing.T) {
	self := start(t, nil)
	var way []*contexts.Node
	for n := self; len(way) < 5; way = append(way, n) {
		n = child(t, n)
	}
	call := func(ctx context.Context, what string) (time.Duration, error) {
		return passOn.Call(ctx, way[0], errand{way[1:], what, self})
	}
	var app *appError
	_, err := call(t.Context(), "joined")
	if !errors.Is(err, fs.ErrExist) || !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &app) || app.Code != 3 || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the joined errors arrived as %v, want all three of them", err)
	}
	for _, n := range way {
		if !strings.Contains(err.Error(), "call test.pass "+n.String()+": ") {
			t.Errorf("the error is %v, want the call to %v in it", err, n)
		}
	}
	var p *contexts.PanicError
	if _, err := call(t.Context(), "panic"); !errors.As(err, &p) || p.Value != "at the end" || !strings.Contains(p.Stack, "contexts_test.") {
		t.Errorf("the error is %v, want the panic of the last context with its stack", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if left, err := call(ctx, "deadline"); err != nil || left > time.Minute || left < 50*time.Second {
		t.Errorf("the last context has %v left, error %v, want 50s to 1m", left, err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := call(ctx, "block"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline the call ended with %v, want %v", err, context.DeadlineExceeded)
	}
	marks.await(t, "blocked")
	marks.await(t, "released")

	cancelled, stop := context.WithCancel(t.Context())
	pending := passOn.Go(cancelled, way[0], errand{way[1:], "block", self})
	marks.await(t, "blocked")
	stop()
	if _, err := pending.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call ended with %v, want %v", err, context.Canceled)
	}
	marks.await(t, "released")

	// If the last context is gone, the context before it returns that error. That one is not
	// gone.
	pending = passOn.Go(t.Context(), way[0], errand{way[1:], "block", self})
	marks.await(t, "blocked")
	kill(t, way[4])
	if _, err := pending.Wait(); err == nil || errors.Is(err, contexts.ErrGone) || !strings.Contains(err.Error(), contexts.ErrGone.Error()) {
		t.Errorf("with the last context gone the call ended with %v, want an error that says so and is not %v", err, contexts.ErrGone)
	}
	if _, err := pid.Call(t.Context(), way[3], struct{}{}); err != nil {
		t.Errorf("a call to the context before it ended with %v, want no error", err)
	}
}

// A call can be cancelled at any moment while its argument is sent. It ends at once, and harms no
// other call.
func TestCancellationDuringALargeArgument(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	in := bytes.Repeat([]byte("0123456789abcdef"), 32<<20/16)
	want := sha256.Sum256(in)
	begin := time.Now()
	if got, err := sum.Call(t.Context(), b, in); err != nil || got != want {
		t.Fatalf("the checksum there is %x, error %v, want %x", got, err, want)
	}
	span := time.Since(begin)
	for i := range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		var other *contexts.Pending[[32]byte]
		if i%5 == 0 {
			other = sum.Go(t.Context(), b, in)
		}
		at := rand.N(span)
		timer := time.AfterFunc(at, cancel)
		if got, err := sum.Call(ctx, b, in); err == nil && got != want || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the call that was cancelled after %v ended with %v, want %v or the right checksum", at, err, context.Canceled)
		}
		timer.Stop()
		cancel()
		if _, err := pid.Call(t.Context(), b, struct{}{}); err != nil {
			t.Error(err)
		}
		if other != nil {
			if got, err := other.Wait(); err != nil || got != want {
				t.Errorf("another call meanwhile ended with the checksum %x, %v, want %x", got, err, want)
			}
		}
	}
}
