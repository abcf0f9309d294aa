package core

import (
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	var m Meter
	now := time.Now()
	take := func(n float64) bool { return m.Take(now, n, 10, 100) }
	for i := range 100 {
		if !take(1) {
			t.Fatalf("the burst ends at %d", i)
		}
	}
	if take(1) {
		t.Error("a hundred and one at once")
	}
	now = now.Add(time.Second)
	if take(11) || !take(10) || take(1) {
		t.Error("a second is not worth ten")
	}
	now = now.Add(time.Hour)
	if take(101) || !take(100) || take(1) {
		t.Error("a rest is not worth a hundred")
	}
}
