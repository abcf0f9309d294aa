package tree

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The last one that was made ends first. One that hangs takes its share of the time and no
// more. Whoever asks for the end meanwhile waits for it.
func TestEndsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ends Ends
		var log []string
		add := func(name string, takes time.Duration) *End {
			e := &End{func(limit time.Duration) {
				log = append(log, fmt.Sprintf("%s within %v", name, limit))
				time.Sleep(min(takes, limit))
			}}
			if !ends.Add(e) {
				t.Fatalf("%s was not taken, want it among the ends", name)
			}
			return e
		}
		a := add("a", 0)
		add("b", 0)
		add("c", time.Hour)
		ends.MoveLast(a)
		begin := time.Now()
		go ends.Run(6 * time.Second)
		synctest.Wait()
		ends.Run(time.Minute)
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("a second Run returned after %v, want 3s: when the first one did", took)
		}
		if want := []string{"a within 2s", "c within 3s", "b within 3s"}; !slices.Equal(log, want) {
			t.Errorf("the ends came as %q, want %q", log, want)
		}
		if ends.Add(&End{}) {
			t.Error("an end was taken after Run, want it refused: nobody would call it")
		}
	})
}
