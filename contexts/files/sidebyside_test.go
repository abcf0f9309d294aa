package files

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// However many calls there are, at most so many run at once, and each runs once.
func TestSideBySideIsBounded(t *testing.T) {
	for _, c := range []struct{ n, most, peak int }{{0, 4, 0}, {1, 4, 1}, {4, 4, 4}, {1000, 4, 4}} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			calls := make([]int, c.n)
			running, peak := 0, 0
			sideBySide(c.n, c.most, func(i int) {
				mu.Lock()
				calls[i]++
				running++
				peak = max(peak, running)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				running--
				mu.Unlock()
			})
			if peak != c.peak || running != 0 {
				t.Errorf("%d calls: %d at once at the most and %d in the end, want %d and none", c.n, peak, running, c.peak)
			}
			for i, n := range calls {
				if n != 1 {
					t.Errorf("%d calls: f(%d) was called %d times, want once", c.n, i, n)
				}
			}
		})
	}
}
