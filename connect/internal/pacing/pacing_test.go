package pacing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestPaceLetsThroughEightInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Pace{Most: MaxHandshakes}
		var releases []func()
		for range MaxHandshakes {
			r, err := p.Wait(t.Context(), "web1:22", func() {})
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, r)
		}
		if r, err := p.Wait(t.Context(), "web2:22", func() {}); err != nil {
			t.Fatal(err)
		} else {
			r()
		}
		order := make(chan int, 3)
		for i := range 3 {
			go func() {
				r, err := p.Wait(t.Context(), "web1:22", func() {})
				if err != nil {
					t.Error(err)
					return
				}
				order <- i
				r()
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error)
		go func() {
			_, err := p.Wait(ctx, "web1:22", func() {})
			gaveUp <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("gave up with %v", err)
		}
		if len(order) != 0 {
			t.Fatal("a ninth was let through")
		}
		releases[0]()
		releases[0]() // once more does no harm
		for want := range 3 {
			if got := <-order; got != want {
				t.Errorf("number %d came in place of %d", got, want)
			}
		}
		for _, r := range releases {
			r()
		}
		if len(p.queue) != 0 {
			t.Errorf("%d keys are kept", len(p.queue))
		}
	})
}
