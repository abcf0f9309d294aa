//go:build linux

package broker

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// Input in small pieces takes no more memory than its bytes.
func TestSmallPieces(t *testing.T) {
	f := newInflow("stdin", func(string, int64) error { return nil })
	var want []byte
	for i := range wire.InputCredit {
		b := []byte{byte(i)}
		want = append(want, b...)
		if err := f.put("stdin", b, false); err != nil {
			t.Fatal(err)
		}
	}
	room := 0
	for _, c := range f.chunks {
		room += cap(c)
	}
	if room > 3*wire.InputCredit || len(f.chunks) > 1000 {
		t.Errorf("%d bytes have %d in %d pieces", len(want), room, len(f.chunks))
	}
	_ = f.put("stdin", nil, true)
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want the %d that were sent", len(got), err, len(want))
	}
	f = newInflow("stdin", nil)
	if err := f.put("stdin", make([]byte, wire.InputCredit+1), false); !errors.Is(err, wire.ErrProtocol) {
		t.Errorf("above the credit: %v", err)
	}
}

// An end that came before close is an end; later bytes are nothing.
func TestInflowEnds(t *testing.T) {
	why := errors.New("why")
	for name, test := range map[string]struct {
		do   func(f *inflow)
		want string
		err  error
	}{
		"ended":            {func(f *inflow) { _ = f.put("s", []byte("a"), true); f.close(why) }, "a", nil},
		"closed":           {func(f *inflow) { _ = f.put("s", []byte("a"), false); f.close(why) }, "", why},
		"bytes at the end": {func(f *inflow) { _ = f.put("s", nil, true); _ = f.put("s", []byte("late"), false) }, "", nil},
		"closed twice":     {func(f *inflow) { f.close(why); f.close(io.EOF) }, "", why},
	} {
		f := newInflow("s", func(string, int64) error { return nil })
		test.do(f)
		if got, err := io.ReadAll(f); string(got) != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, err, test.want, test.err)
		}
	}
}

// Credit is counted for each stream, and can't overflow.
func TestOutflow(t *testing.T) {
	o := newOutflow(10)
	for range 3 {
		if err := o.add("stderr", 1<<62); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := o.take("stdout", 100); n != 10 || err != nil {
		t.Errorf("%d, %v; want the window", n, err)
	}
	if n, err := o.take("stderr", 100); n != 100 || err != nil {
		t.Errorf("%d, %v; want all", n, err)
	}
	done := make(chan error)
	go func() {
		_, err := o.take("stdout", 1)
		done <- err
	}()
	why := errors.New("why")
	o.close(why)
	if err := <-done; err != why {
		t.Errorf("%v, want the reason of the close", err)
	}
	var none *outflow
	if n, err := none.take("stdout", 7); n != 7 || err != nil {
		t.Errorf("without a window: %d, %v", n, err)
	}
}
