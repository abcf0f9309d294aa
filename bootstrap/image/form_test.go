package image

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// A connect that is given up neither waits for the packing that others need nor harms it.
func TestPackingGoesOnForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads, gate := 0, make(chan struct{})
		i, err := newImage("linux", "amd64", func() ([]byte, error) {
			if reads++; reads > 1 { // the first is for the hash
				<-gate
			}
			return bytes.Repeat([]byte("an image"), 1000), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		why := errors.New("the host is not wanted any more")
		first, giveUp := context.WithCancelCause(t.Context())
		gaveUp, got := make(chan error), make(chan error)
		go func() { _, err := i.Encoded(first, Zstd, nil); gaveUp <- err }()
		synctest.Wait()
		for range 2 {
			go func() { _, err := i.Encoded(t.Context(), Zstd, nil); got <- err }()
		}
		synctest.Wait()
		giveUp(why)
		if err := <-gaveUp; !errors.Is(err, why) {
			t.Errorf("the connect that was given up got %v, want the cause", err)
		}
		close(gate)
		for range 2 {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		if reads != 2 {
			t.Errorf("the image was read %d times, want once for its hash and once for all who wait", reads)
		}
	})
}

// The last one to give up ends the packing, and the next one begins anew.
func TestPackingEndsWithTheLastWhoWaits(t *testing.T) {
	i := New(bytes.Repeat([]byte("an image"), 1000), "linux", "amd64")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the program closes")
	var err error
	// The work needs a turn, which this test has.
	if turnErr := packing.turn(t.Context(), fast, func() error {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, err = i.Encoded(ctx, Zstd, nil)
		}()
		cancel(why)
		<-ended
		return nil
	}); turnErr != nil {
		t.Fatal(turnErr)
	}
	if !errors.Is(err, why) {
		t.Errorf("the connect that was given up got %v, want the cause", err)
	}
	if f := &i.forms[Zstd]; f.making != nil || f.data != nil {
		t.Error("packing went on for nobody")
	}
	if _, err := i.Encoded(t.Context(), Zstd, nil); err != nil {
		t.Error(err)
	}
}
