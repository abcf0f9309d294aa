package image

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// Packing in the background rests while a connect waits for packing.
func TestConnectsPackFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		var order []effort
		take := func(e effort) {
			if err := turns.turn(t.Context(), e, func() error { order = append(order, e); return nil }); err != nil {
				t.Error(err)
			}
		}
		leave := turns.enter(t.Context(), fast)
		rested := make(chan struct{})
		go func() {
			defer close(rested)
			defer turns.enter(t.Context(), best)()
			take(best)
		}()
		for range 3 {
			synctest.Wait()
			take(fast)
		}
		leave()
		<-rested
		take(fast)
		if want := []effort{fast, fast, fast, best, fast}; !slices.Equal(order, want) {
			t.Errorf("the turns were %v, want %v", order, want)
		}
	})
}

// A packing that rests ends with its context.
func TestPackingThatRestsEnds(t *testing.T) {
	turns := newTurns()
	defer turns.enter(t.Context(), fast)()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer turns.enter(ctx, best)()
	why := errors.New("the program closes")
	go cancel(why)
	err := turns.turn(ctx, best, func() error { return errors.New("a connect waits, and the background packs") })
	if !errors.Is(err, why) {
		t.Error(err)
	}
}
