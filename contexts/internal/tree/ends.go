package tree

import (
	"slices"
	"sync"
	"time"
)

// Ends are things that end with a context, in an order of their own: the last one that
// was made is the first to end. The zero value has none.
type Ends struct {
	mu    sync.Mutex
	list  []*End        // in the order of their making
	ended bool          // nothing is added any more
	done  chan struct{} // made by runAll, and closed when it is through

	// run is runAll. It is set by Add, so that programs that add nothing do not carry it.
	run func(limit time.Duration)
}

// An End ends one thing. It takes no longer than limit.
type End struct{ Do func(limit time.Duration) }

// Add adds an end as the last one. It returns false if the context ends already.
func (e *Ends) Add(end *End) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return false
	}
	e.list = append(e.list, end)
	e.run = e.runAll
	return true
}

// MoveLast makes an end that was added before the last one.
func (e *Ends) MoveLast(end *End) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := slices.Index(e.list, end); i >= 0 {
		e.list = append(slices.Delete(e.list, i, i+1), end)
	}
}

// Run ends everything, one after the other. Each gets an equal share of the time that is
// left. If Run runs already, it waits for that.
func (e *Ends) Run(limit time.Duration) {
	e.mu.Lock()
	e.ended = true
	run := e.run
	e.mu.Unlock()
	if run != nil {
		run(limit)
	}
}

func (e *Ends) runAll(limit time.Duration) {
	e.mu.Lock()
	done := e.done
	if done == nil {
		e.done = make(chan struct{})
	}
	e.mu.Unlock()
	if done != nil {
		<-done
		return
	}
	deadline := time.Now().Add(limit)
	for end, left := e.take(); end != nil; end, left = e.take() {
		end.Do(time.Until(deadline) / time.Duration(left))
	}
	close(e.done)
}

// take takes the last end out of the list, and returns how many there were.
func (e *Ends) take() (end *End, left int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if left = len(e.list); left > 0 {
		end = e.list[left-1]
		e.list = e.list[:left-1]
	}
	return end, left
}
