package contexts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
)

func TestSequence(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	next := 0
	for i, err := range count.Call(t.Context(), b, 100_000) {
		if err != nil || i != next {
			t.Fatalf("the sequence has %d, %v, want %d next", i, err, next)
		}
		next++
	}
	if next != 100_000 {
		t.Errorf("the sequence has %d values, want 100000", next)
	}
	var last error
	for _, err := range count.Call(t.Context(), b, 13) {
		last = err
	}
	if !errors.Is(last, fs.ErrExist) {
		t.Errorf("the sequence ended with %v, want %v", last, fs.ErrExist)
	}
	for i := range count.Call(t.Context(), b, 1<<30) {
		if i == 10 {
			break
		}
	}
}

func TestStream(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	c, err := shout.Dial(t.Context(), b, "!")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "hello")
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "HELLO!" {
		t.Errorf("the stream returned %q, %v, want HELLO!", got, err)
	}
}

// leftWith gets the error of the function's ctx at the time when yield returned false.
var leftWith = make(chan error, 1)

var unending = contexts.NewSeqFunc("test.unending", func(ctx context.Context, _ struct{}) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := 0; yield(i, nil); i++ {
		}
		leftWith <- ctx.Err()
	}
})

// If the caller leaves its loop, yield returns false in the function. By then the function's ctx is
// cancelled.
func TestLeavingALoopCancels(t *testing.T) {
	self := start(t, nil)
	for i := range 200 {
		for _, err := range unending.Call(t.Context(), self, struct{}{}) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if err := <-leftWith; !errors.Is(err, context.Canceled) {
			t.Fatalf("loop %d: the function's ctx has the error %v, want %v", i, err, context.Canceled)
		}
	}
}
